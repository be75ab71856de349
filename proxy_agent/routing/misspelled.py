"""Names that are almost a setting's: nobody would find out otherwise why nothing happens."""

from collections.abc import Iterable, Iterator

_SHORTEST = 8


def misspelled(names: Iterable[str], known: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Those of *names* that are one letter away from a *known* one, which comes with them.

    Of known names only those of several words: an application may well have OPTIONS of its own.

    >>> list(misspelled(["VIRTUAL_HOSTS", "OPTIONS"], frozenset({"VIRTUAL_HOST", "OPTION"})))
    [('VIRTUAL_HOSTS', 'VIRTUAL_HOST')]
    """
    candidates = sorted(name for name in known if ("_" in name or "-" in name) and len(name) >= _SHORTEST)
    for name in sorted(set(names) - known):
        if len(name) >= _SHORTEST and (meant := next((each for each in candidates if _is_near(name, each)), "")):
            yield name, meant


def _is_near(one: str, other: str) -> bool:
    """Whether a single letter has been added, left out or exchanged."""
    shorter, longer = sorted((one, other), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    rest = shorter[same + 1 :] if len(shorter) == len(longer) else shorter[same:]
    return rest == longer[same + 1 :]
