"""proxy_agent.session_tickets, and how the agent has HAProxy follow it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.session_tickets import AddTicketKey, SessionTickets, ticket_changes
from proxy_agent.tls.ticket_keys import LENGTH, ROTATION, TicketKey
from tests.unit.agent.fakes import House

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the keys are kept, in a folder that is not there yet."""
    return tmp_path / "state" / "tickets.json"


def test_keys_are_kept_for_the_next_start(path: Path) -> None:
    """By nobody but their owner."""
    keys, skipped = SessionTickets(path).keys(NOW)
    assert SessionTickets(path).keys(NOW) == (keys, skipped) == (keys, ())
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_while_nothing_changes(path: Path) -> None:
    """A look costs a read."""
    tickets = SessionTickets(path)
    keys, _ = tickets.keys(NOW)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert tickets.keys(NOW + ROTATION / 2) == (keys, ())
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_a_file_that_is_lost_is_written_again(path: Path) -> None:
    """With the same keys: the sessions of clients go on."""
    tickets = SessionTickets(path)
    keys, _ = tickets.keys(NOW)
    path.unlink()
    assert tickets.keys(NOW) == (keys, ())
    assert SessionTickets(path).keys(NOW) == (keys, ())


def test_where_new_keys_cannot_be_kept_old_ones_go_on(path: Path) -> None:
    """And it is said, until they can."""
    tickets = SessionTickets(path)
    keys, _ = tickets.keys(NOW)
    kept = path.read_bytes()
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("in the way")
    later, (doubt,) = tickets.keys(NOW + ROTATION)
    assert later == keys
    assert str(doubt).endswith("tickets.json: cannot be written, so old keys are used on")
    path.parent.unlink()
    path.parent.mkdir()
    path.write_bytes(kept)
    later, skipped = tickets.keys(NOW + ROTATION)
    assert (later[:2], skipped) == (keys[1:], ())


def test_without_any_keys_and_place_for_them_nothing_starts(path: Path) -> None:
    """HAProxy would make some up that no restart knows."""
    path.parent.write_text("in the way")
    with pytest.raises(OperationalError, match="Cannot keep keys of TLS sessions"):
        SessionTickets(path).keys(NOW)


@given(st.binary(max_size=200) | st.sampled_from([b"[]", b'[{"made_at":"2026-11-22T12:00Z","secret":"AAAA"}]']))
def test_whatever_lies_there_keys_are_had(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Other content is no reason to fail."""
    path = tmp_path_factory.mktemp("state") / "tickets.json"
    path.write_bytes(content)
    keys, skipped = SessionTickets(path).keys(NOW)
    assert (len(keys), skipped) == (3, ())
    assert all(len(key.secret) == LENGTH for key in keys)


@given(st.lists(st.sampled_from("abcdef"), min_size=3, max_size=3), st.lists(st.sampled_from("abcdef"), min_size=3))
def test_additions_lead_to_what_is_wanted(desired: list[str], running: list[str]) -> None:
    """Whatever a worker had before; and none are made that are not needed."""
    additions = [change.line for change in ticket_changes(desired, running[:3])]
    assert [*running[:3], *additions][-3:] == desired
    assert not additions or desired != running[:3]


def test_a_worker_without_such_keys_is_given_none() -> None:
    """It was started when tickets were not wanted: a reload decides."""
    assert list(ticket_changes(["a", "b", "c"], [])) == []


def numbered(*numbers: int) -> tuple[TicketKey, ...]:
    """Keys that can be told apart."""
    return tuple(TicketKey(NOW + timedelta(hours=number), bytes([number]) * LENGTH) for number in numbers)


def test_a_rotation_reaches_disk_and_worker_without_a_reload_or_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """It is a normal day's work; and the next look finds nothing to do."""
    house = House()
    house.tickets.known = numbered(1, 2, 3)
    house.boot()
    house.tickets.known = numbered(2, 3, 4)
    line = house.tickets.known[2].line(b"")
    house.haproxy.journal.clear()
    caplog.clear()
    house.look()
    assert house.haproxy.journal == [f"add_ticket_key {line}"]
    assert house.disk.files()["ticket.keys"].decode().splitlines() == [k.line(b"") for k in house.tickets.known]
    house.look()
    assert len(house.haproxy.journal) == 1
    assert caplog.messages == []


def test_a_worker_that_will_not_take_a_key_is_reloaded() -> None:
    """Nothing of the key is in the log."""
    house = House()
    house.tickets.known = numbered(1, 2, 3)
    house.boot()
    house.tickets.known = numbered(2, 3, 4)
    house.haproxy.refuses = {"add_ticket_key"}
    house.haproxy.journal.clear()
    assert house.look().problems == ()
    assert house.haproxy.journal[1:] == ["reload"]
    assert house.haproxy.ticket_keys == tuple(key.line(b"") for key in house.tickets.known)


def test_keys_rotate_while_a_configuration_is_refused() -> None:
    """Their age is bounded whatever containers ask for."""
    house = House()
    house.tickets.known = numbered(1, 2, 3)
    house.boot()
    house.haproxy.refused_line = b"frontend"
    house.settings = house.settings.model_copy(update={"http_port": 8080})
    house.agent = house.another_agent()
    house.look()
    house.tickets.known = numbered(2, 3, 4)
    house.look()
    assert house.haproxy.ticket_keys == tuple(key.line(b"") for key in house.tickets.known)


def test_an_addition_does_not_show_its_key() -> None:
    """As in a traceback."""
    assert "secret" not in repr(AddTicketKey("secret"))
