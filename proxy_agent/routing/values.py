"""The small grammars that settings share: lists, switches, lengths of time, sizes, words of a fixed set."""

import re
from collections.abc import Callable

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})
_UNITS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MS = 2**31 - 1
_SHOWN = 40


def quoted(text: str) -> str:
    """*text* for a message: its beginning, in quotes."""
    return repr(text[:_SHOWN])


def parse_list(text: str) -> tuple[str, ...]:
    r"""Items parted by commas, blanks around them and empty ones left out; ``\,`` is a comma in an item.

    >>> parse_list(r"a, b\,c,,")
    ('a', 'b,c')
    """
    items = (item.strip().replace(r"\,", ",") for item in re.split(r"(?<!\\),", text))
    return tuple(item for item in items if item)


def parse_switch(text: str) -> bool:
    """Whether *text* says yes; raises ValueError for anything but true, yes, on, 1, false, no, off and 0."""
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise ValueError(f"{quoted(text)} is neither yes nor no")


def parse_switch_or_yes(text: str) -> bool:
    """The same where dockercloud/haproxy took any text for yes, and where yes is the safe answer."""
    try:
        return parse_switch(text)
    except ValueError as error:
        raise ValueError(f"{error}; yes is used") from None


def parse_word(*accepted: str) -> Callable[[str], str]:
    """A parser for one of the words *accepted*, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in accepted:
            raise ValueError(f"{quoted(text)} is not used: write one of {', '.join(accepted)}")
        return text.lower()

    return parse


def haproxy_word(text: str) -> str:
    """*text*, free of control characters, as one word in which HAProxy takes nothing as special (manual, 2.2)."""
    return "'" + text.replace("'", "'\\''") + "'"


def parse_duration(text: str, shortest_ms: int = 1) -> str:
    """A length of time as HAProxy writes it (configuration manual, 2.5): a number with a unit, without one of ms.

    >>> parse_duration("90 S"), parse_duration("2000")
    ('90s', '2000ms')
    """
    match = re.fullmatch(r"([0-9]{1,10})\s*(us|ms|s|m|h|d)?", text.strip().lower())
    if not match:
        raise ValueError(f"{quoted(text)} is not a length of time: write a number with a unit, such as 30s, 5m or 1h")
    unit = match[2] or "ms"
    if not shortest_ms <= int(match[1]) * _UNITS[unit] <= _LONGEST_MS:
        raise ValueError(f"{quoted(text)} is out of range: write something between {shortest_ms}ms and 24d")
    return f"{int(match[1])}{unit}"


def parse_size(text: str) -> int:
    """A number of bytes, with k, m or g for powers of 1024; 0 means no limit.

    >>> parse_size("8m"), parse_size("0")
    (8388608, 0)
    """
    match = re.fullmatch(r"([0-9]{1,12})\s*([kmg]?)b?", text.strip().lower())
    if not match:
        raise ValueError(f"{quoted(text)} is not a size: write a number of bytes, or one with k, m or g such as 8m")
    return int(match[1]) << 10 * " kmg".index(match[2] or " ")
