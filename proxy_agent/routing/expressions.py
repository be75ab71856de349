"""Regular expressions of strangers: the part of PCRE that HAProxy is sure to compile, and nothing else."""

import re

_LONGEST = 256
_LONGEST_WRITTEN_OUT = 5000
"""Characters, with every counted repetition written out: PCRE refuses what compiles to more than 64 KiB."""

# Python's own parser finds unbalanced and empty things; this finds what the two understand differently: it leaves
# out back-references, look-behind, verbs, POSIX classes, named groups, and every escape that is not listed;
# and braces of their own, one of which would end a condition of HAProxy's.
_TOKENS = re.compile(
    r"""(?:\(\?i\))?
    (?:
        \\[dDwWsSbB!-/:-@\[-`{-~]
      | \[\^?(?:\\[dDwWsS!-/:-@\[-`{-~]|(?!--|&&|~~|\|\|)[!-Z^-~])+\]
      | \(\?[:=!] | \((?!\?|\*)
      | \{\d{1,3}(?:,\d{0,3})?\}
      | [^\\\[({}]
    )*""",
    re.VERBOSE,
)
_PARTS = re.compile(r"\\.|\[\^?(?:\\.|[^\]\\])+\]|\((?:\?[:=!])?|\)|[*+?]|\{\d+(?:,\d*)?\}|\||.")
_MOST_REPETITIONS = 3
"""Open-ended ones: each further one multiplies how long a visitor's request may hold up all others."""
_FEW = 10
_COPIES = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def parse_expression(text: str) -> str:
    r"""Read one regular expression; raises ValueError quoting it and saying what to write instead.

    >>> parse_expression(r"^www\.")
    '^www\\.'
    >>> parse_expression("a(b")
    Traceback (most recent call last):
    ValueError: 'a(b' is not a regular expression: missing ), unterminated subpattern at position 1
    """
    if not text or len(text) > _LONGEST:
        raise ValueError(f"{text[:40]!r} is not a regular expression of 1 to {_LONGEST} characters")
    if not all("!" <= character <= "~" for character in text) or "'" in text:
        raise ValueError(f"{text!r} holds a blank, a quote or a character beyond ASCII: write \\s or . instead")
    if not _TOKENS.fullmatch(text):
        raise ValueError(
            f"{text!r} goes beyond what is accepted: characters, classes, groups, repetitions, look-ahead, "
            "and of escapes \\d \\w \\s \\b and punctuation"
        )
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    _check_effort(text)
    if len(text) * _copies(text) > _LONGEST_WRITTEN_OUT:
        raise ValueError(f"{text!r} counts too far: written out, its repetitions may be too much for HAProxy")
    return text


def _check_effort(text: str) -> None:
    """Keep out what takes PCRE far more than linear time: HAProxy serves nobody else meanwhile."""
    open_ended = 0
    inside: list[bool] = [False]
    """For the expression and each group that is open: whether it holds a repetition or alternatives."""
    closed = False
    previous = ""
    for part in _PARTS.findall(text):
        is_repetition = _repeats(part) and not _repeats(previous)
        open_ended += is_repetition
        if is_repetition and previous == ")" and closed:
            raise ValueError(f"{text!r} repeats a group that holds repetitions or alternatives: spell it out")
        if part.startswith("("):
            inside.append(False)
        elif part == ")":
            closed = inside.pop()
            inside[-1] |= closed
        elif is_repetition or part == "|":
            inside[-1] = True
        previous = part
    if open_ended > _MOST_REPETITIONS:
        raise ValueError(
            f"{text!r} holds more than {_MOST_REPETITIONS} open-ended repetitions: use fewer of '*' and '+'"
        )


def _repeats(part: str) -> bool:
    """Whether it makes what stands before it appear many times over."""
    counts = _COPIES.fullmatch(part)
    if counts is None:
        return part in ("*", "+")
    return part.endswith(",}") or int(counts[2] or counts[1]) > _FEW


def literal(text: str) -> str:
    """An expression for exactly *text*, which is printable ASCII without blanks."""
    return re.sub(r"[^A-Za-z0-9/_-]", lambda match: f"\\x{ord(match[0]):02x}", text)


def glob(text: str) -> str:
    r"""An expression for the whole of *text*, in which ``*`` stands for any run of characters.

    What lies between two stars is looked for once, from the left, and never given up again (PCRE's atomic groups):
    that finds the same, and takes time in proportion to what is searched, however many stars there are.

    >>> glob("/p/*/x/*.php")
    '^/p/(?>.*?/x/).*\\x2ephp$'
    """
    first, *rest = map(literal, text.split("*"))
    if not rest:
        return f"^{first}$"
    *between, last = rest
    return f"^{first}{''.join(f'(?>.*?{part})' for part in between)}.*{last}$"


def _copies(text: str) -> int:
    copies = 1
    for least, most in _COPIES.findall(text):
        copies *= max(int(least), int(most or 0), 1)
    return copies
