"""The state on the volume: whole, or set aside and taken for the worst."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.budget import Spent
from letsencrypt.certonly import PRODUCTION, STAGING, Directory
from letsencrypt.schedule import Failure
from letsencrypt.standing import Standing
from letsencrypt.state import Interrupted, Record, State, format_state, parse_state
from letsencrypt.state_file import StateFile, let_go, state_folder
from proxy_agent.daemon.errors import OperationalError
from tests.unit.letsencrypt.certificates import NOW

STANDING = Standing(
    not_before=NOW,
    pause=timedelta(minutes=1),
    attempts={Failure.VALIDATION: 2},
    failure=Failure.VALIDATION,
    reason="404",
)
RECORD = Record(names=("a.test",), configuration="x", services=("web",), standing=STANDING, last_run=NOW)
STATE = State(
    version=1,
    directory="ca.example",
    standing=Standing(not_before=NOW, failure=Failure.BUSY, by_ca=True),
    scopes={"domain a.test": NOW},
    lineages={"a.test": RECORD},
    spent=(Spent(time=NOW, names=("a.test",), failed=("a.test",)),),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """By another process, all of it; and nobody else may read it."""
    StateFile(tmp_path / "state").save(STATE)
    assert StateFile(tmp_path / "state").load(NOW) == (STATE, "")
    assert (tmp_path / "state" / "state.json").stat().st_mode & 0o777 == 0o600


def test_what_never_was_is_no_damage(tmp_path: Path) -> None:
    """A new volume begins afresh."""
    file = StateFile(tmp_path)
    assert file.load(NOW) == (None, "")
    assert file.lost(NOW) == ()
    assert file.interrupted(NOW) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"version": 2, "directory": "x"}', b"[]", b"null"])
def test_what_cannot_be_used_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """One sentence says so; the loss is known for a week, and then removed."""
    (tmp_path / "state.json").write_bytes(content)
    file = StateFile(tmp_path)
    state, sentence = file.load(NOW)

    assert state is None
    assert sentence.startswith(f"{tmp_path}/state.json cannot be used (")
    assert [path.read_bytes() for path in tmp_path.glob("damaged-*.json")] == [content]
    assert file.load(NOW) == (None, "")
    assert file.lost(NOW + timedelta(days=6)) == (NOW,)
    assert file.lost(NOW + timedelta(days=8)) == ()
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=60) | st.integers(0, len(format_state(STATE)) - 2).map(lambda n: format_state(STATE)[:n]))
def test_any_content_is_a_state_or_refused(content: bytes) -> None:
    """Nothing else comes of it than ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse_state(content)


def test_what_can_be_neither_read_nor_moved_stays(tmp_path: Path) -> None:
    """Then nobody may go on as if nothing had been."""
    (tmp_path / "state.json").mkdir()
    (tmp_path / f"damaged-{NOW:%Y%m%dT%H%M%S.%fZ}.json").write_text("in the way")
    with pytest.raises(OperationalError, match="cannot be used, nor set aside"):
        StateFile(tmp_path).load(NOW)


def test_the_same_is_not_written_twice(tmp_path: Path) -> None:
    """Looks that change nothing wear out no disk; a file that somebody removed is written again."""
    file = StateFile(tmp_path)
    file.save(STATE)
    before = (tmp_path / "state.json").stat().st_ino
    os.link(tmp_path / "state.json", tmp_path / "held")
    file.save(STATE)
    assert (tmp_path / "state.json").stat().st_ino == before
    (tmp_path / "state.json").unlink()
    file.save(STATE)
    assert (tmp_path / "state.json").exists()


def test_a_run_leaves_a_journal_until_its_end(tmp_path: Path) -> None:
    """What it noted is known afterwards; a journal that cannot be read means the worst."""
    file = StateFile(tmp_path / "new")
    for name, words in (("a.test", ""), ("b.test", "ordered\n"), ("c.test", "ordered\nfinalized\n")):
        journal = file.begin(name, NOW)
        with journal.open("a") as lines:
            lines.write(words)
    (tmp_path / "new" / "d.test.run").write_text("")
    later = NOW + timedelta(hours=1)

    assert StateFile(tmp_path / "new").interrupted(later) == {
        "a.test": Interrupted(NOW, ordered=False, finalized=False),
        "b.test": Interrupted(NOW, ordered=True, finalized=False),
        "c.test": Interrupted(NOW, ordered=True, finalized=True),
        "d.test": Interrupted(later, ordered=True, finalized=True),
    }
    for name in ("a.test", "b.test", "c.test", "d.test", "e.test"):
        file.end(name)
    assert file.interrupted(later) == {}


def test_each_server_has_a_state_beside_certbots_folders(tmp_path: Path) -> None:
    """And certbot's own are not touched."""
    production, staging = (state_folder(Directory(url), tmp_path) for url in (PRODUCTION, STAGING))
    assert production == tmp_path / "state" / "production"
    assert staging.parent == tmp_path / "state"
    assert staging != production


def test_a_start_wants_nothing_yet(tmp_path: Path) -> None:
    """A server that the settings no longer name does not stay wanted; what cannot be read stays for its owner."""
    StateFile(tmp_path / "state" / "old").save(STATE)
    (tmp_path / "state" / "bad").mkdir()
    (tmp_path / "state" / "bad" / "state.json").write_text("{")
    let_go(tmp_path)
    state, _ = StateFile(tmp_path / "state" / "old").load(NOW)
    assert state is not None
    assert not state.lineages["a.test"].wanted
    assert state.lineages["a.test"].standing == STANDING
    assert (tmp_path / "state" / "bad" / "state.json").read_text() == "{"
