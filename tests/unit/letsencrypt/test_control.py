"""Wishes of the operator, from a command to the loop."""

from pathlib import Path

from letsencrypt.control import Control, Order, Verb


def test_each_wish_is_handed_out_once(tmp_path: Path) -> None:
    """Whatever the names look like, and however often the same is asked."""
    control = Control(tmp_path / "control")
    orders = (Order(Verb.FORGET, "a.test"), Order(Verb.RETRY, "../../a/b"), Order(Verb.RETRY, "a.test"))
    for order in (*orders, *orders):
        control.ask(order)

    assert control.take() == orders
    assert control.take() == ()
    assert not control.is_waiting
    assert [path.name for path in tmp_path.iterdir()] == ["control"]


def test_what_is_no_wish_is_dropped(tmp_path: Path) -> None:
    """Nothing in the folder stops the loop, or stays to be looked at each second."""
    for name, content in (("a", "{"), ("b", "[]"), ("c", '["burn", "a"]'), ("d", '"xy"'), (".tmp-e", "x")):
        (tmp_path / name).write_text(content)
    assert Control(tmp_path).take() == ()
    assert not Control(tmp_path).is_waiting
