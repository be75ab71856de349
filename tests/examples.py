"""How many examples a property is tried with: the profile says, for all of them at once."""

from hypothesis import settings

_LEAST = 5
"""The first example is always the simplest one, which finds little."""


def examples(of_hundred: int) -> int:
    """*of_hundred*, where each other property is tried with a hundred; fewer or more as those are."""
    return max(settings().max_examples * of_hundred // 100, _LEAST)
