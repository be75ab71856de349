"""Logs: one sentence a line, each said once while it stays true."""

import logging
import sys
from collections.abc import Iterable
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]
MOST_LINES = 100
"""That are said of one topic; of ten thousand bad files, nobody reads more in a log."""


def configure(log_format: LogFormat, level: str) -> None:
    """Send this process's log to standard error, as sentences or as one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    formatter: logging.Formatter
    if log_format == "json":
        formatter = JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    else:
        formatter = logging.Formatter("{asctime} {levelname:7} {message}", style="{")
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("docker", "urllib3", "watchdog", "waitress", "requests"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


class Notices:
    """Conditions that last, each logged when it begins and not again while it stays the same.

    A loop that looks at the world every few seconds sees a bad file every few seconds; its operator needs one
    line when it turns bad, and one when it is mended.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: dict[str, frozenset[str]] = {}
        """What was logged of each topic and still holds."""
        self._more: set[str] = set()
        """Topics of which there is more than was logged."""

    def update(self, topic: str, sentences: Iterable[str], level: int = logging.WARNING) -> None:
        """State all that is wrong about *topic* now: new sentences are logged, and the end of all of them too.

        No more than MOST_LINES that hold at one time are; one line says that there are others.
        """
        now = frozenset(sentences)
        before = self._said.get(topic, frozenset())
        still = before & now
        new = sorted(now - still)
        saying = new[: MOST_LINES - len(still)]
        for sentence in saying:
            self._logger.log(level, "%s", sentence)
        if len(saying) < len(new) and topic not in self._more:
            self._logger.log(level, "There is more about %s than these %d lines.", topic, MOST_LINES)
            self._more.add(topic)
        if before and not now:
            self._logger.info("Mended: %s", topic)
        if len(saying) == len(new):
            self._more.discard(topic)
        self._said[topic] = still.union(saying)
