"""What a cycle says: each sentence goes to the log at once, and is kept for the report."""

import logging
from collections.abc import Iterable

log = logging.getLogger("letsencrypt.issuer")


class Sentences:
    """Since the last take()."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def say(self, level: int, sentence: str) -> None:
        """Log *sentence*, and keep it."""
        self._said.append(sentence)
        log.log(level, "%s", sentence)

    def say_all(self, level: int, sentences: Iterable[str]) -> None:
        """The same for each of them."""
        for sentence in sentences:
            self.say(level, sentence)

    def keep(self, sentences: Iterable[str]) -> None:
        """Keep what somebody else logged."""
        self._said.extend(sentences)

    def take(self) -> tuple[str, ...]:
        """All that was said since the last time."""
        said, self._said = tuple(self._said), []
        return said
