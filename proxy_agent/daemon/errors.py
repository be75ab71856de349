"""The two kinds of trouble that are not bugs: the operator can act, or one item had to be left out."""

from dataclasses import dataclass


class OperationalError(Exception):
    """The world is not as needed and the operator can act; the message is one whole sentence for them.

    Whoever runs a loop catches this, says it once and keeps serving. Every other exception is a bug and ends
    the process, so that its supervisor starts a clean one.
    """


@dataclass(frozen=True, order=True)
class Skipped:
    """One item that was left out, and why: a value, because leaving one out is normal and the rest goes on."""

    what: str
    """The item, named as the operator wrote it: a container, a file, a domain, a setting."""
    reason: str
    """What is wrong and what to do, without a capital or a full stop."""

    def __str__(self) -> str:
        text = f"{self.what}: {self.reason}"
        # What strangers wrote, labels and file names among it, makes neither two lines of a log nor a terminal blink.
        return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
