"""What waits for a receiver, and a round of deliveries: bounded, in order, at least once."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import JsonValue

from letsencrypt.courier import Round, make_rounds, receivers_of
from letsencrypt.outbox import KEPT, MOST, PAUSES, Outbox
from letsencrypt.receivers import NotTaken
from letsencrypt.rounds import Job, is_under_way, locked
from proxy_agent.daemon.errors import OperationalError
from tests.unit.letsencrypt.certificates import NOW


@dataclass
class Ear:
    """A receiver."""

    title: str = "The ear"
    folder: str = "ear"
    heard: list[str] = field(default_factory=list)
    deaf: str = ""
    to: frozenset[str] = frozenset()
    """What it cannot bear to hear."""
    after: Callable[[], None] = lambda: None

    def send(self, body: Mapping[str, JsonValue], /) -> None:
        """Hear."""
        self.after()
        if self.deaf or body["text"] in self.to:
            raise NotTaken(self.deaf or "it cannot bear that")
        self.heard.append(str(body["text"]))


@dataclass
class Post:
    """An outbox, a receiver and time."""

    outbox: Outbox
    time: datetime = NOW
    seconds: float = 0.0
    ear: Ear = field(default_factory=Ear)

    def put(self, *texts: str) -> None:
        """Put in."""
        for place, text in enumerate(texts):
            self.outbox.put(text, {"text": text}, self.time, place)

    def round(self, after: timedelta = timedelta()) -> list[str]:
        """What is heard in a round so much later."""
        self.time += after
        Round(lambda: self.time, lambda: 0.0, lambda: self.seconds).deliver(self.ear, self.outbox)
        heard, self.ear.heard = self.ear.heard, []
        return heard


@pytest.fixture
def post(tmp_path: Path) -> Post:
    """An empty one."""
    return Post(Outbox(tmp_path / "events" / "ear"))


def test_what_is_put_in_comes_out_once_and_in_order(post: Post) -> None:
    """Also what was put in a second later, whatever its name; the same thing twice is one."""
    post.put("b", "a", "b")
    post.time += timedelta(seconds=1)
    post.put("0", "a")
    assert post.round() == ["b", "a", "0"]
    assert post.round(timedelta(days=1)) == []
    assert list(post.outbox.folder.iterdir()) == []


def test_what_is_not_taken_is_tried_again_later_and_later(post: Post) -> None:
    """After half a minute, one, two, …, at last each hour; nothing is lost meanwhile, and it is said once."""
    post.put("a")
    post.ear.deaf = "it is deaf"
    moments: list[int] = []
    for minute in range(0, 4 * 60 * 2):
        post.ear.after = lambda minute=minute: moments.append(minute)  # type: ignore[misc]
        post.round(timedelta(minutes=0.5))
    pauses = [(later - sooner) / 2 for sooner, later in pairwise(moments)]
    assert pauses[:8] == [pause.total_seconds() / 60 for pause in PAUSES]
    post.ear.deaf = ""
    assert post.round(PAUSES[-1]) == ["a"]


def test_trouble_is_said_when_it_begins_and_ends(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """By however many processes it is met; another reason is another line."""
    caplog.set_level(logging.INFO)
    post.put("a", "b", "c")
    for reason in ("it is deaf", "it is deaf", "it is away", ""):
        post.ear.deaf = reason
        post.round(PAUSES[-1] * 2)
    assert post.round(PAUSES[-1]) == []
    assert caplog.messages == [
        "The ear failed: it is deaf. What it has not taken is kept and tried again.",
        "The ear failed: it is away. What it has not taken is kept and tried again.",
        "The ear works again.",
    ]


def test_one_item_that_nobody_takes_holds_up_no_other(post: Post) -> None:
    """It goes on waiting for its own time."""
    post.put("poison", "a", "b")
    post.ear.to = frozenset({"poison"})
    assert post.round() == ["a", "b"]
    post.put("c")
    assert post.round() == ["c"]
    assert [str(waiting) for waiting in post.outbox.due(post.time + PAUSES[0])] == ["poison"]


def test_who_takes_nothing_costs_a_round_two_tries(post: Post) -> None:
    """However much waits."""
    tries: list[None] = []
    post.ear.deaf, post.ear.after = "it is deaf", lambda: tries.append(None)
    post.put(*map(str, range(9)))
    post.round()
    assert len(tries) == 2


def test_a_slow_receiver_costs_a_round_its_budget(post: Post) -> None:
    """The rest is for the next one."""

    def be_slow() -> None:
        post.seconds += 100

    post.put(*map(str, range(9)))
    post.ear.after = be_slow
    assert post.round() == ["0", "1"]
    assert post.round() == ["2", "3"]


def test_a_process_that_dies_of_an_item_leaves_it_for_later(post: Post) -> None:
    """It is sent again, after others had their turn."""
    post.put("deadly", "a")

    def die() -> None:
        raise KeyboardInterrupt

    post.ear.after = die
    with pytest.raises(KeyboardInterrupt):
        post.round()
    post.ear.after = lambda: None
    assert post.round() == ["a"]
    assert post.round(PAUSES[0]) == ["deadly"]


def test_the_outbox_is_bounded(post: Post) -> None:
    """In number and in age: the oldest go, and are told."""
    post.put(*(f"{n:03}" for n in range(MOST + 3)))
    assert post.outbox.overflow(post.time) == ["000", "001", "002"]
    assert post.outbox.overflow(post.time) == []
    post.time += KEPT + timedelta(seconds=1)
    post.put("new")
    assert len(post.outbox.overflow(post.time)) == MOST
    assert post.round() == ["new"]


def test_a_hook_that_fails_for_a_week_is_given_up(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """With a line; nobody puts in anything that would tell."""
    post.outbox.put("a", {"command": "false", "RENEWED_DOMAINS": "a.test b.test", "text": ""}, NOW)
    post.ear.deaf = "it is deaf"
    post.round()
    post.round(KEPT + timedelta(seconds=1))
    assert list(post.outbox.folder.glob("*.json")) == []
    assert caplog.messages[-1] == "The ear did not take it for too long, dropped: a.test b.test"


def test_what_cannot_be_read_now_is_kept(post: Post) -> None:
    """An error of the disk is no damage of the file."""
    post.put("a")
    [path] = post.outbox.folder.glob("*.json")
    path.rename(path.with_suffix(".aside"))
    path.mkdir()
    assert post.round() == []
    path.rmdir()
    path.with_suffix(".aside").rename(path)
    assert post.round() == ["a"]


def test_damaged_files_are_dropped(post: Post) -> None:
    """Half a file stops nothing, and one that is just written is none yet."""
    post.put("a")
    (post.outbox.folder / "20200101T000000-0-x.json").write_text("{")
    (post.outbox.folder / ".tmp-20200101T000000-0-y.json").write_text("{")
    assert post.round() == ["a"]
    assert [path.name for path in post.outbox.folder.iterdir()] == [".tmp-20200101T000000-0-y.json"]


def test_a_clock_that_was_set_back_puts_nothing_off_for_long(post: Post) -> None:
    """What was to wait for an hour does not wait for a year."""
    post.time += timedelta(days=365)
    post.put("a")
    post.ear.deaf = "it is deaf"
    post.round()
    post.ear.deaf, post.time = "", NOW
    assert post.round() == ["a"]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """Nothing is taken for kept that is not."""
    (tmp_path / "file").touch()
    with pytest.raises(OperationalError, match="Cannot make the folder"):
        Outbox(tmp_path / "file" / "ear").put("a", {"text": "a"}, NOW)


def test_there_is_one_round_at_a_time(tmp_path: Path) -> None:
    """A second process that comes along does nothing."""
    hooks = Outbox(tmp_path / "deploy-hooks")
    hooks.put("a", {"command": f"touch {tmp_path}/ran"}, datetime.now(UTC))
    assert not is_under_way(tmp_path)
    with locked(tmp_path) as is_ours:
        assert is_ours
        assert is_under_way(tmp_path)
        make_rounds(Job(folder=tmp_path))
    assert not (tmp_path / "ran").exists()
    make_rounds(Job(folder=tmp_path))
    assert (tmp_path / "ran").exists()


def test_what_comes_during_a_round_is_taken_by_the_next(tmp_path: Path) -> None:
    """At once, as nobody else is started while one is under way; what failed in the first waits for its time."""
    hooks = Outbox(tmp_path / "deploy-hooks")
    late = hooks.folder / "99990101T000000-0-late.json"
    body = json.dumps({"body": {"command": f"touch {tmp_path}/late"}})
    hooks.put("a", {"command": f"test -e {late} || {{ echo '{body}' >{late}; exit 1; }}"}, datetime.now(UTC))
    make_rounds(Job(folder=tmp_path))
    assert (tmp_path / "late").exists()
    assert len(list(hooks.folder.glob("*.json"))) == 1


def test_each_receiver_has_its_outbox() -> None:
    """Webhooks by their number, so that a corrected URL gets what waited for the wrong one."""
    job = Job(folder=Path("/nowhere"), urls=("http://a.test/secret", "http://b.test/secret"), program="/hooks/x")
    assert [(each.folder, each.title) for each in receivers_of(job)] == [
        ("webhook-1", "The webhook 1 of NOTIFY_URL"),
        ("webhook-2", "The webhook 2 of NOTIFY_URL"),
        ("program", "The program of NOTIFY_EXEC"),
        ("deploy-hooks", "A deploy hook of certbot"),
    ]
    assert "secret" not in repr(job)
