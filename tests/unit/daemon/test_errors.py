"""proxy_agent.daemon.errors."""

from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.daemon.errors import Skipped


def test_what_was_skipped_is_a_sentence() -> None:
    """The item, and what is wrong with it."""
    assert str(Skipped("shop", "no network in common")) == "shop: no network in common"


@given(st.text(), st.text())
def test_it_is_one_line_whatever_strangers_wrote(what: str, reason: str) -> None:
    """A label or a file name with a line break or a terminal's control sequence in it forges no line of the log."""
    assert str(Skipped(what, reason)).isprintable()


def test_items_are_sorted_by_name() -> None:
    """So that the status is the same as long as the world is."""
    assert sorted([Skipped("b", "x"), Skipped("a", "y")]) == [Skipped("a", "y"), Skipped("b", "x")]
