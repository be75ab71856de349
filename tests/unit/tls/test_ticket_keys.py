"""proxy_agent.tls.ticket_keys."""

from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.tls.ticket_keys import LENGTH, ROTATION, TicketKey, rotated

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = 3 * ROTATION


class Numbered:
    """Secrets that can be told apart."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count()

    def __call__(self) -> bytes:
        """The next one."""
        return next(self._numbers).to_bytes(LENGTH)


def test_the_first_three_are_made_at_once() -> None:
    """HAProxy wants three, and each is another one."""
    keys = rotated((), NOW, Numbered())
    assert len({key.secret for key in keys}) == 3
    assert rotated(keys, NOW, Numbered()) == keys


def test_a_rotation_leaves_the_encrypting_key_one_that_was_known_before() -> None:
    """The newest is made known, the one before it begins to encrypt, and the oldest is forgotten."""
    make = Numbered()
    first = rotated((), NOW, make)
    assert rotated(first, NOW + ROTATION - timedelta(seconds=1), make) == first
    second = rotated(first, NOW + ROTATION, make)
    assert second[:2] == first[1:]
    assert second[2].made_at == NOW + ROTATION


@given(st.lists(st.integers(min_value=-100, max_value=100), max_size=30))
def test_no_key_is_older_than_a_day_whatever_the_clock_does(hours: list[int]) -> None:
    """However long the agent was away, and however often the clock was put forward or back."""
    make = Numbered()
    keys: tuple[TicketKey, ...] = ()
    for hour in hours:
        now = NOW + timedelta(hours=hour)
        keys = rotated(keys, now, make)
        assert len({key.secret for key in keys}) == 3
        assert all(now - DAY < key.made_at <= now for key in keys)
        assert rotated(keys, now, make) == keys


def test_what_haproxy_reads_fits_it_and_one_ca_only() -> None:
    """80 bytes, which tell nothing of the ones for clients of another CA."""
    key = TicketKey(NOW, bytes(LENGTH))
    assert len(b64decode(key.line(b""))) == LENGTH
    assert len({key.line(b""), key.line(b"a CA"), key.line(b"another CA")}) == 3
    assert key.line(b"a CA") == TicketKey(NOW + DAY, bytes(LENGTH)).line(b"a CA")


def test_a_key_is_not_shown_where_it_is_printed() -> None:
    """As in a traceback."""
    assert "x" * 20 not in repr(TicketKey(NOW, b"x" * LENGTH))
