"""The eye on all certificates: what it reads, what it says, and what it keeps for whom."""

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from letsencrypt.events import Kind, Snapshot
from letsencrypt.schedule import Failure
from letsencrypt.snapshot import Volumes
from letsencrypt.standing import Standing
from letsencrypt.state import Record, State
from letsencrypt.state_file import StateFile
from letsencrypt.watch import Listeners, Watch
from tests.unit.letsencrypt.certificates import NOW, issue, keep

HOUR = timedelta(hours=1)
ALL = frozenset(Kind)
REFUSED = Standing(
    not_before=NOW + timedelta(days=1),
    pause=timedelta(days=1),
    attempts={Failure.REFUSED: 1},
    failure=Failure.REFUSED,
    reason="a forbidden domain",
)
WELL = Standing(not_before=NOW + HOUR, pause=HOUR)


class House:
    """The volumes of a container, in which time stands still unless it is told."""

    def __init__(self, folder: Path, listeners: Listeners) -> None:
        self.root, self.certs = folder / "etc", folder / "certs"
        self.certs.mkdir()
        self.time = NOW
        self.jobs: list[str] = []
        self.listeners = listeners
        self.volumes = Volumes(self.root, self.certs)

    def say(self, name: str, standing: Standing, directory: str = "production", wanted: bool = True) -> None:
        """What the loop leaves of a lineage."""
        self.say_of_all([name], standing, directory, wanted)

    def say_of_all(
        self, names: Iterable[str], standing: Standing, directory: str = "production", wanted: bool = True
    ) -> None:
        """What it leaves of several."""
        file = StateFile(self.root / "state" / directory)
        state, _ = file.load(self.time)
        lineages = dict(state.lineages) if state else {}
        for name in names:
            lineages[name] = Record(
                names=(name,), configuration="x", standing=standing, wanted=wanted, last_run=self.time
            )
        file.save(State(version=1, directory=f"{directory}.ca.test", lineages=lineages))

    def publish(self, name: str, not_after: datetime = NOW + timedelta(days=60)) -> None:
        """A certificate."""
        (self.certs / f"{name}.pem").write_bytes(issue([name], not_after, NOW).bundle_pem)

    def watch(self) -> Watch:
        """One that has just started."""
        return Watch(self.volumes, self.root / "events", self.listeners, lambda: self.time, self.jobs.append)

    def waiting(self, receiver: str) -> list[str]:
        """What waits for whom."""
        paths = sorted((self.root / "events" / receiver).glob("*.json"))
        return [json.loads(path.read_text())["body"]["event"] for path in paths]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """One with two webhooks and a program."""
    urls = ("https://a.test/secret-1", "https://b.test/secret-2")
    return House(tmp_path, Listeners(urls, None, ALL - {Kind.RENEWED, Kind.ISSUED}, "/hooks/x"))


def test_each_receiver_gets_what_it_is_told(house: House) -> None:
    """Webhooks the chosen events, the program all of them; one courier is started, which knows the URLs."""
    watch = house.watch()
    house.say("a.test", WELL)
    house.say("b.test", REFUSED)
    house.publish("a.test")
    watch.look()
    assert house.waiting("webhook-1") == house.waiting("webhook-2") == ["failing"]
    assert house.waiting("program") == ["issued", "failing"]
    [job] = house.jobs
    assert json.loads(job)["urls"] == ["https://a.test/secret-1", "https://b.test/secret-2"]


def test_a_restart_neither_repeats_nor_loses(house: House) -> None:
    """What happened while nobody looked is found by the next process, and what was found is not found again."""
    house.publish("old.test")
    house.watch().look()
    assert house.waiting("program") == []
    house.say("a.test", WELL)
    house.publish("a.test")
    house.watch().look()
    house.watch().look()
    assert house.waiting("program") == ["issued"]


def test_nothing_new_starts_and_writes_nothing(house: House) -> None:
    """A look costs a look."""
    watch = house.watch()
    house.say("a.test", WELL)
    watch.look()
    memory = house.root / "events" / "memory.json"
    before = memory.stat().st_mtime_ns
    watch.look()
    assert memory.stat().st_mtime_ns == before
    assert house.jobs == []


def test_what_could_not_be_kept_is_found_again(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk costs a line, and no event."""
    watch = house.watch()
    house.say("b.test", REFUSED)
    (house.root / "events").write_text("in the way")
    watch.look()
    watch.look()
    (house.root / "events").unlink()
    watch.look()
    assert house.waiting("program") == ["failing"]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_an_end_is_logged_at_each_step_without_any_receiver(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Three lines in a life, however often is looked; a restart says it once more."""
    house = House(tmp_path, Listeners())
    house.say("a.test", REFUSED)
    house.publish("a.test", NOW + timedelta(days=60))
    watch = house.watch()
    for _ in range(62 * 4):
        house.time += 6 * HOUR
        watch.look()
    house.watch().look()
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [
        "The certificate for a.test expires in 10 days and was not renewed: a forbidden domain.",
        "The certificate for a.test expires in 5 days and was not renewed: a forbidden domain.",
        "The certificate for a.test expired on 2026-07-31 12:00 UTC and was not renewed: a forbidden domain.",
        "The certificate for a.test expired on 2026-07-31 12:00 UTC and was not renewed: a forbidden domain.",
    ]
    assert house.jobs == []


def test_urls_come_from_a_file_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Read anew each time; while it cannot be, one line says so, and what happens waits. Nothing of it is logged."""
    caplog.set_level(logging.WARNING)
    file = tmp_path / "urls"
    file.write_text("not-a-url-but-secret")
    house = House(tmp_path, Listeners((), file, ALL))
    house.say("b.test", REFUSED)
    watch = house.watch()
    watch.look()
    watch.look()
    assert house.jobs == []
    assert house.waiting("webhook-1") == ["failing"]
    file.write_text("https://a.test/secret\n")
    watch.look()
    assert json.loads(house.jobs[0])["urls"] == ["https://a.test/secret"]
    assert caplog.messages == [
        f"NOTIFY_URL_FILE: {file} cannot be used: number 1 of what is given is no http or https URL."
    ]


def test_events_of_a_receiver_that_is_away_are_bounded(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The oldest are dropped with a line."""
    watch = house.watch()
    house.say_of_all((f"n{number:03}.test" for number in range(103)), REFUSED)
    watch.look()
    assert len(house.waiting("program")) == 100
    assert "Dropped 3 of the events that program did not take, like: " in caplog.text
    assert "n000.test" in caplog.text


def test_a_damaged_memory_is_a_new_beginning(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """What is there is no news, what is wrong is."""
    house.watch().look()
    (house.root / "events" / "memory.json").write_text("{")
    house.say("a.test", WELL)
    house.publish("a.test")
    house.say("b.test", REFUSED)
    house.watch().look()
    assert house.waiting("program") == ["failing"]
    assert "events are counted from now on" in caplog.text


def test_the_volumes_tell_all_that_events_need(house: House) -> None:
    """Where several servers are asked for a lineage, the one that was asked last; what nobody wants only by name."""
    house.say("a.test", REFUSED)
    house.time += HOUR
    house.say("a.test", WELL, directory="other")
    house.say("past.test", WELL, wanted=False)
    house.publish("a.test")
    snapshot = house.volumes.look()
    [seen] = snapshot.seen
    assert (seen.lineage, seen.directory, seen.standing) == ("a.test", "other", WELL)
    assert seen.live == str(house.root / "directories/other/live/a.test")
    assert set(snapshot.certificates) == {"a.test"}
    assert snapshot.known == {"a.test", "past.test"}
    assert snapshot.complete


def test_the_server_whose_certificate_is_served_tells_how_it_is(house: House) -> None:
    """Though another one was asked after it, and failed."""
    house.say("a.test", WELL, directory="other")
    house.time += HOUR
    house.say("a.test", REFUSED)
    issued = issue(["a.test"])
    keep(house.root, "a.test", issue(["a.test"]))
    keep(house.root / "directories/other", "a.test", issued)
    (house.certs / "a.test.pem").write_bytes(issued.bundle_pem)
    [seen] = house.volumes.look().seen
    assert (seen.directory, seen.standing) == ("other", WELL)


def _break_state(house: House) -> None:
    (house.root / "state/production/state.json").write_text("{")


def _break_bundle(house: House) -> None:
    (house.certs / "a.test.pem").write_text("half")


@pytest.mark.parametrize("harm", [_break_state, _break_bundle])
def test_what_cannot_be_read_is_not_gone(house: House, harm: Callable[[House], None]) -> None:
    """The rest is told, and that it is not all."""
    house.say("a.test", WELL)
    house.publish("a.test")
    assert house.volumes.look().complete
    harm(house)
    snapshot: Snapshot = house.volumes.look()
    assert not snapshot.complete
