"""What the commands tell and ask."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click.testing
import pytest

from letsencrypt.__main__ import main
from letsencrypt.control import Control, Order, Verb
from letsencrypt.health import Heartbeat
from letsencrypt.schedule import Failure
from letsencrypt.state import Record, State
from letsencrypt.state_file import StateFile
from letsencrypt.status import read_status
from letsencrypt.timetable import Standing
from tests.unit.letsencrypt.certificates import NOW, issue

LATER = NOW + timedelta(hours=12)


def failing(failure: Failure, reason: str, attempts: int) -> Standing:
    """What is tried again later."""
    return Standing(not_before=LATER, pause=LATER - NOW, attempts={failure: attempts}, failure=failure, reason=reason)


@pytest.fixture
def volumes(tmp_path: Path) -> tuple[Path, Path]:
    """Where one certificate is well, one fails, one is new, and one is no longer wanted."""
    root, certs = tmp_path / "etc", tmp_path / "certs"
    certs.mkdir()
    for name in ("a.test", "gone.test"):
        (certs / f"{name}.pem").write_bytes(issue([name], not_before=NOW).bundle_pem)
    lineages = {
        "a.test": Record(
            names=("a.test",),
            configuration="x",
            services=("shop/web",),
            standing=Standing(not_before=LATER),
            last_run=NOW,
        ),
        "bad.test": Record(
            names=("bad.test", "www.bad.test"),
            configuration="x",
            standing=failing(Failure.VALIDATION, "bad.test: \x1b404", 2),
            last_run=NOW,
        ),
        "new.test": Record(names=("new.test",), configuration="x", standing=Standing(not_before=NOW)),
        "past.test": Record(names=("past.test",), configuration="x", wanted=False, standing=Standing(not_before=NOW)),
    }
    StateFile(root / "state" / "production").save(State(version=1, directory="ca.example", lineages=lineages))
    return root, certs


def test_each_certificate_is_a_line(volumes: tuple[Path, Path]) -> None:
    """Names, until when, from whom, what came of the last try, when the next is, and who asked."""
    lines, problems = read_status(*volumes, NOW)
    assert [str(line) for line in lines] == [
        "a.test: valid until 2026-07-31 12:00 UTC, from ca.example; well at 2026-06-01 12:00 UTC; "
        "next look 2026-06-02 00:00 UTC; wanted by shop/web",
        "bad.test, www.bad.test: no certificate, from ca.example; failed 2 times (validation): bad.test: ?404; "
        "next try 2026-06-02 00:00 UTC; wanted by DOMAINS",
        "new.test: no certificate, from ca.example; not tried yet; next try 2026-06-01 12:00 UTC; wanted by DOMAINS",
        "gone.test: valid until 2026-07-31 12:00 UTC; no longer wanted",
    ]
    assert problems == []


def test_an_end_that_comes_near_is_shown_with_its_reason(volumes: tuple[Path, Path]) -> None:
    """In the last sixth of a life, and after it; what nobody wants may end."""
    for name in ("bad.test", "gone.test", "a.test"):
        issued = issue([name], NOW + timedelta(days=9), NOW - timedelta(days=81))
        (volumes[1] / f"{name}.pem").write_bytes(issued.bundle_pem)
    a, bad, _, gone = map(str, read_status(*volumes, NOW)[0])
    assert bad == (
        "bad.test, www.bad.test: valid until 2026-06-10 12:00 UTC, from ca.example; expires in 9 days and was not "
        "renewed: bad.test: ?404; failed 2 times (validation); next try 2026-06-02 00:00 UTC; wanted by DOMAINS"
    )
    assert "; expires in 9 days and was not renewed: certbot does not find it due, or was not asked yet; well at" in a
    assert gone == "gone.test: valid until 2026-06-10 12:00 UTC; no longer wanted"
    _, bad, *_ = map(str, read_status(*volumes, NOW + timedelta(days=9))[0])
    assert "; expired on 2026-06-10 12:00 UTC and was not renewed: bad.test: ?404; " in bad


def test_a_damaged_state_is_said_and_the_rest_is_shown(volumes: tuple[Path, Path]) -> None:
    """The commands look only: they set nothing aside."""
    path = volumes[0] / "state" / "production" / "state.json"
    path.write_text("{")
    lines, [problem] = read_status(*volumes, NOW)
    assert [line.lineage for line in lines] == ["a.test", "gone.test"]
    assert problem.startswith(f"{path} cannot be used: ")
    assert path.exists()


@pytest.fixture
def command(
    volumes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., click.testing.Result]:
    """Runs a command of the container."""
    for variable, folder in zip(("LETSENCRYPT_FOLDER", "CERTS_FOLDER"), volumes, strict=True):
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setenv("RUN_FOLDER", str(tmp_path))
    return lambda *words: click.testing.CliRunner().invoke(main, list(words))


def test_status_is_for_people_and_machines(command: Callable[..., click.testing.Result]) -> None:
    """The same facts both ways."""
    shown = command("status")
    told = json.loads(command("status", "--json").stdout)

    assert shown.exit_code == 0
    assert [line.partition(":")[0] for line in shown.stdout.splitlines()] == [", ".join(each["names"]) for each in told]
    assert {key: told[1][key] for key in ("lineage", "outcome", "attempts", "asked_by", "valid_until")} == {
        "lineage": "bad.test",
        "outcome": "validation",
        "attempts": 2,
        "asked_by": ["DOMAINS"],
        "valid_until": None,
    }
    assert told[0]["valid_until"] == "2026-07-31T12:00:00+00:00"


def test_a_wish_reaches_the_running_loop(command: Callable[..., click.testing.Result], tmp_path: Path) -> None:
    """By any of its names; unknown names and wanted certificates are refused, and a loop that is not there is said."""
    assert "The loop has not begun" in command("retry", "bad.test").stderr
    Heartbeat(tmp_path / "heartbeat").promise(None)

    assert command("retry", "www.bad.test").stdout.startswith("Asked to retry bad.test; ")
    assert command("forget", "gone.test").exit_code == 0
    assert command("forget", "a.test").stderr.startswith("Error: a.test is still wanted: ")
    assert command("retry", "else.test").stderr.startswith("Error: No certificate is known as 'else.test'")
    assert Control(tmp_path / "control").take() == (Order(Verb.FORGET, "gone.test"), Order(Verb.RETRY, "bad.test"))
