"""Raw lines of HAProxy's configuration as people hand them in, cut into words and written again.

A line is read as HAProxy reads it (the manual's section 2.2: quotes, backslashes, comments), judged by its words, and
written again from these words: what HAProxy sees is what was judged, whatever tricks its quoting knows.
"""

import re
from collections.abc import Iterable

_LONGEST_LINE = 2000
"""HAProxy's own limit is 2048, before what writing it again adds."""
_MOST_WORDS = 60
"""HAProxy's own limit is 64."""
_LONGEST_QUOTE = 60
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", " ": " ", "\\": "\\", '"': '"', "'": "'", "#": "#"}
_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN = re.compile(r"""[^\s"'\\#\x00-\x20\x7f]+""")
_SECRET = re.compile(r"(authorization|cookie|token|secret|passw|key)[\w-]*", re.IGNORECASE)

Words = tuple[str, ...]


def split_list(text: str) -> tuple[str, ...]:
    r"""The lines of a variable: separated by commas or line breaks, where ``\,`` is a comma of the line's own.

    >>> split_list(r"option httpclose, acl a path /a\,b")
    ('option httpclose', 'acl a path /a,b')
    """
    items = (re.sub(r"\\,", ",", item).strip() for item in re.split(r"(?<!\\),|\r?\n", text))
    return tuple(item for item in items if item)


def split_file(text: str) -> tuple[str, ...]:
    """The lines of a file."""
    return tuple(line.strip() for line in text.split("\n") if line.strip())


def parse_line(text: str) -> Words:
    r"""The words of one line, none for a comment; raises ValueError with what cannot be used in it.

    >>> parse_line(r'http-request deny if { path "/a b" }  # why')
    ('http-request', 'deny', 'if', '{', 'path', '/a b', '}')
    """
    if len(text) > _LONGEST_LINE:
        raise ValueError(f"it is longer than {_LONGEST_LINE} characters")
    if not all(c.isprintable() or c == "\t" for c in text):
        raise ValueError("it holds a control character")
    words = _Reader(text).words()
    if len(words) > _MOST_WORDS:
        raise ValueError(f"it has more than {_MOST_WORDS} words")
    return words


def write_line(words: Iterable[str]) -> str:
    r"""One line that HAProxy reads as exactly *words*.

    >>> write_line(["http-response", "set-header", "X-Team", "blue sky"])
    'http-response set-header X-Team "blue sky"'
    >>> print(write_line(["http-request", "replace-path", r"^/x/(.*)", r"/y/\1"]))
    http-request replace-path ^/x/(.*) '/y/\1'
    """
    return " ".join(map(_quoted, words))


def quote(text: str) -> str:
    """The beginning of *text* for a message, without what looks like a password."""
    secret = _SECRET.search(text)
    shown = f"{text[: secret.end()]} …" if secret and text[secret.end() :].strip() else text
    return f"'{shown[:_LONGEST_QUOTE]}{'…' if len(shown) > _LONGEST_QUOTE else ''}'"


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    if "'" in word or any(c in word for c in _CONTROLS):
        escaped = re.sub(r'["\\$]', r"\\\g<0>", word)
        return '"' + "".join(_CONTROLS.get(c, c) for c in escaped) + '"'
    return f"'{word}'" if re.search(r'["\\$]', word) else f'"{word}"'


class _Reader:
    """HAProxy's parse_line(), less what would read the environment."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._words: list[str] = []
        self._word: str | None = None

    def words(self) -> Words:
        quoted_by = ""
        while self._at < len(self._text):
            c = self._text[self._at]
            self._at += 1
            if quoted_by == "'":
                quoted_by = self._single(c)
            elif c == "\\":
                self._emit(self._escape(quoted_by))
            elif c in "\"'" and quoted_by in ("", c):
                quoted_by = "" if quoted_by else c
                self._emit("")
            elif quoted_by:
                self._double(c)
            elif c == "#":
                break
            else:
                self._unquoted(c)
        if quoted_by:
            raise ValueError(f"a quote {quoted_by} is not closed")
        self._end_word()
        return tuple(self._words)

    def _single(self, c: str) -> str:
        self._emit("" if c == "'" else c)
        return "" if c == "'" else "'"

    def _double(self, c: str) -> None:
        if c == "$":
            raise ValueError('the environment cannot be read here: write the value itself, or "\\$" for a dollar sign')
        self._emit(c)

    def _unquoted(self, c: str) -> None:
        if c in " \t":
            self._end_word()
        else:
            self._emit(c)

    def _escape(self, quoted_by: str) -> str:
        """What a backslash and the characters behind it stand for; before most it stands for itself."""
        following = self._text[self._at : self._at + 1]
        if not following:
            raise ValueError("it ends in a backslash")
        if following == "x":
            return self._hexadecimal()
        if following in _ESCAPES or (following == "$" and quoted_by):
            self._at += 1
            return _ESCAPES.get(following, following)
        return "\\"

    def _hexadecimal(self) -> str:
        digits = re.match(r"x([2-7][0-9A-Fa-f])", self._text[self._at :])
        if not digits or digits[1].lower() == "7f":
            raise ValueError(r"a character is written as \x20 to \x7e")
        self._at += len(digits[0])
        return chr(int(digits[1], 16))

    def _emit(self, text: str) -> None:
        self._word = (self._word or "") + text

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append(self._word)
        self._word = None
