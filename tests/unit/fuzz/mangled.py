"""Input for parsers as strangers may write it: anything, and what is good but for a blow in one place."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from proxy_agent.daemon.errors import OperationalError
from tests.examples import examples

LONGEST = 20_000
_LONGEST_REASON = 2000
_DEEP = ("[" * LONGEST, '{"a":' * (LONGEST // 5), "(" * LONGEST)
"""What a parser that calls itself has to give up at some depth."""
FEW = examples(15)
"""Examples for each of many parsers; ``--hypothesis-profile=deep`` tries many more."""
_CPU_SECONDS = 2.0
"""For what takes milliseconds: an input that makes a parser think for seconds stops the agent for everybody."""
_ODD = (
    *("", "\0", "\n", "\r\n", " ", "\t", "\\", "'", '"', "%", "%%", "$", "{", "}", "[", "]", "(", ")", "*", "..", "//"),
    *(
        "é",
        "ß",
        "İ",
        "٣",
        "²",
        "\U0001d7d9",
        "\u200b",
        "\u2028",
        "\udcff",
        "\x1b[31m",
        "-1",
        "0x10",
        "1e999",
        "9" * 5000,
    ),
    *("a" * 300, ".a" * 200, "xn--", "xn--a", ",", ";", ":", "=", "#", "~", "^", "!", "&", "|", "<", ">", "@", "/"),
)


def texts(*good: str) -> st.SearchStrategy[str]:
    """Any text, and *good* ones with a piece cut out, put in, doubled or repeated."""
    pieces = st.sampled_from(_ODD) | st.text(max_size=8)
    large = st.sampled_from(_DEEP) | st.builds(_repeated, st.sampled_from(good))
    return st.text(max_size=300) | _blows(st.sampled_from(good), pieces) | large


def contents(*good: bytes) -> st.SearchStrategy[bytes]:
    """The same for bytes."""
    odd = st.sampled_from([piece.encode(errors="surrogateescape") for piece in _ODD])
    blows = _blows(st.sampled_from(good), odd | st.binary(max_size=8))
    large = st.sampled_from([text.encode() for text in _DEEP]) | st.builds(_repeated, st.sampled_from(good))
    return st.binary(max_size=300) | blows | large


@st.composite
def _blows(draw: st.DrawFn, good: st.SearchStrategy[Any], pieces: st.SearchStrategy[Any]) -> Any:
    text, other = draw(good), draw(good)
    for _ in range(draw(st.integers(0, 3))):
        begin, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        text = text[:begin] + draw(pieces) + text[draw(st.sampled_from([begin, end])) :]
    cut = draw(st.integers(0, len(other)))
    return text + other[cut:] if draw(st.booleans()) else text


def _repeated(text: Any) -> Any:
    return text * (LONGEST // max(len(text), 1))


def is_survived(parse: Callable[..., object], *arguments: object) -> None:
    """*parse* returns, or raises what its caller expects, before long."""
    begun = time.process_time()
    try:
        parse(*arguments)
    except (ValueError, OperationalError) as error:
        reason = str(error)
    else:
        reason = ""
    assert len(reason) < _LONGEST_REASON, "it is for people to read, and the log is bounded"
    assert time.process_time() - begun < _CPU_SECONDS


def regressions(found: Sequence[tuple[str, object]], parser: str) -> list[object]:
    """What once broke *parser*."""
    return [content for name, content in found if name == parser]
