"""Who waits together takes turns: neither a renewal waits behind ten thousand strangers, nor one of those behind it."""

from collections.abc import Callable, Iterable
from itertools import chain, zip_longest
from typing import TypeVar

T = TypeVar("T")


def in_turns(things: Iterable[T], of_the_first: Callable[[T], object]) -> list[T]:
    """One of those that *of_the_first* holds for, one of the others, and so on; among their own as they come.

    >>> in_turns([1, 3, 5, 7, 2, 4], lambda number: number % 2 == 0)
    [2, 1, 4, 3, 5, 7]
    """
    first: list[T] = []
    second: list[T] = []
    for thing in things:
        (first if of_the_first(thing) else second).append(thing)
    pairs = zip_longest(((one,) for one in first), ((one,) for one in second), fillvalue=())
    return list(chain.from_iterable(chain.from_iterable(pairs)))
