"""One certbot run: start it in a process of its own, bound its time, and say what kind of ending it had."""

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from letsencrypt.report import Report, failure_of, retry_after_of
from letsencrypt.schedule import Failure
from proxy_agent.daemon.errors import Skipped

log = logging.getLogger(__name__)

TIME_LIMIT = timedelta(minutes=5)
"""Longer than any honest run: certbot waits at most 90 s for a certificate and 45 s for each answer."""
GRACE = timedelta(seconds=10)
"""From SIGTERM, on which certbot removes its challenges, to SIGKILL."""

COMMAND = (sys.executable, "-P", "-m", "letsencrypt.certbot_process")
_ROOT = str(Path(__file__).parents[1])
_LONGEST_DETAIL = 600


@dataclass(frozen=True)
class Outcome:
    """How a run ended, in our words."""

    failure: Failure | None = None
    """None: certbot is content, whether it ordered a certificate or found none due."""
    detail: str = ""
    """What is wrong as a part of a sentence, without a full stop."""
    names: tuple[Skipped, ...] = ()
    """What the CA says of single names, where it does."""
    retry_after: timedelta | None = None
    code: str = ""
    """The ACME error type, where the CA named one."""
    ordered: bool = False
    """Whether a certificate was ordered, whatever came of it."""
    finalized: bool = False
    """Whether one may have been issued."""
    url: str = ""
    """What was asked of the CA last, where that is known."""
    secs: float = 0.0


def classify(report: Report, now: datetime) -> Outcome:
    """What kind of ending *report* tells of; *now* is what a Retry-After date is counted from."""
    if report.kind == "ok":
        return Outcome(ordered=report.ordered, finalized=report.finalized, secs=report.secs)
    return Outcome(
        failure=failure_of(report),
        detail=_usage(report.detail) if report.kind == "usage" else plain(report.detail) or report.code,
        names=tuple(Skipped(p.identifier, plain(p.detail)) for p in (*report.fails, *report.sub) if p.identifier),
        retry_after=retry_after_of(report, now),
        code=report.code,
        ordered=report.ordered,
        finalized=report.finalized,
        url=report.url,
        secs=report.secs,
    )


def _usage(message: str) -> str:
    """Name the option, but not what was given to it: that may be a secret.

    >>> _usage("unrecognized arguments: --nonsense=1 secret")
    'certbot knows no option --nonsense'
    """
    _, found, words = message.partition("unrecognized arguments: ")
    if not found:
        return f"certbot says {plain(message)}"
    options = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
    return f"certbot knows no option {', '.join(options)}" if options else "a word in it belongs to no option"


def plain(text: str) -> str:
    r"""Foreign *text* as a part of one line: the CA quotes what any web server sent it.

    >>> plain("Invalid\x1b response:\n  teapot.")
    'Invalid response: teapot'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return re.sub(r" ?[.]$", "", line if len(line) <= _LONGEST_DETAIL else f"{line[:_LONGEST_DETAIL]}…")


class Certbot:
    """Runs certbot, from any thread, each in its own session, so that signals to us do not reach it."""

    def __init__(
        self,
        now: Callable[[], datetime],
        limit: timedelta = TIME_LIMIT,
        grace: timedelta = GRACE,
        command: Sequence[str] = COMMAND,
        hooks: Path | None = None,
    ) -> None:
        self._now, self._command, self._limit, self._grace, self._hooks = now, command, limit, grace, str(hooks or "")

    def run(
        self, arguments: Sequence[str], temporary_folder: Path, journal: Path | None = None, refusal: str = ""
    ) -> Outcome:
        """Run ``certbot *arguments*`` to its end, at most limit and grace long; nothing of it is left behind.

        It orders nothing if there is a *refusal*, nor before *journal* says on the disk that it does.
        """
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))},
        )
        order = json.dumps(
            {
                "arguments": list(arguments),
                "temporary_folder": str(temporary_folder),
                "journal": str(journal or ""),
                "refusal": refusal,
                "hooks": self._hooks,
            }
        )
        lines, words = self._finish(process, order)
        for word in words.splitlines():
            log.debug("certbot: %s", word)
        return self._read(lines, words, process.returncode)

    def _finish(self, process: subprocess.Popen[str], order: str) -> tuple[str, str]:
        """What it wrote to standard output and standard error, both drained all along; stops it when its time is up."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(order, timeout=self._limit.total_seconds())
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, ending)
            with contextlib.suppress(subprocess.TimeoutExpired):
                lines, words = process.communicate(timeout=self._grace.total_seconds())
                return lines, f"{words}\nit did not end within {self._limit} and was stopped"
        # A hook of the operator's that left the session may hold the pipes open for ever.
        return "", f"it did not end within {self._limit}, and what it started still runs"

    def _read(self, lines: str, words: str, returncode: int | None) -> Outcome:
        """Judge by the last line; a run that was killed has left none, or the one from before its finalization."""
        last = lines.splitlines()[-1:]
        try:
            report = Report.model_validate_json("".join(last))
        except ValidationError:
            report = Report.model_validate({"rc": 1, "class": "crash"})
        if report.kind == "crash" and not report.detail:
            word = next((word for word in reversed(words.splitlines()) if word.strip()), "it said nothing")
            detail = f"certbot ended with status {returncode}: {word}"
            report = report.model_copy(update={"detail": detail})
        return classify(report, self._now())
