"""Port numbers as containers write them."""

_HIGHEST = 65535
_MOST_DIGITS = 5


def parse_port(text: str) -> int:
    """Read one port; raises ValueError quoting it and naming the range.

    >>> parse_port("http")
    Traceback (most recent call last):
    ValueError: 'http' is not a port: write one number from 1 to 65535
    """
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and 0 < int(text) <= _HIGHEST:
        return int(text)
    raise ValueError(f"{text[:40]!r} is not a port: write one number from 1 to {_HIGHEST}")
