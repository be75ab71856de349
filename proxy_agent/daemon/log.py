"""Logs: one sentence a line, each said once while it stays true."""

import logging
import sys
from collections.abc import Iterable
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]


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
        self._current: dict[str, frozenset[str]] = {}

    def update(self, topic: str, sentences: Iterable[str], level: int = logging.WARNING) -> None:
        """State all that is wrong about *topic* now: new sentences are logged, and the end of all of them too."""
        now = frozenset(sentences)
        before = self._current.get(topic, frozenset())
        for sentence in sorted(now - before):
            self._logger.log(level, "%s", sentence)
        if before and not now:
            self._logger.info("Mended: %s", topic)
        self._current[topic] = now
