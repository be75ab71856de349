"""Names for HAProxy's configuration, made from what strangers call their containers."""

import hashlib
import re

_LONGEST_SLUG = 40
_LONGEST_TITLE = 100


def slug(text: str) -> str:
    """*text* as one word of HAProxy's configuration; what had to be changed gets a digest, so that no two collide."""
    short = word(text)
    return short if short == text else f"{short}-{digest(text)}"


def word(text: str) -> str:
    """*text* as one word, which another text may give too.

    >>> word("my shop/web")
    'my_shop_web'
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:_LONGEST_SLUG]


def printable(text: str) -> str:
    """*text* as one word for people, safe in a comment and in a line of the log."""
    return re.sub(r"[^!-~]", "?", text)[:_LONGEST_TITLE]


def digest(*texts: str) -> str:
    """Eight characters that tell *texts* from all others."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
