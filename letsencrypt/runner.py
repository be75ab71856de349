"""How a run of certbot ended: the report of its process, and the outcome in our words."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from letsencrypt.report import Report, failure_of, retry_after_of
from letsencrypt.schedule import Failure
from proxy_agent.daemon.errors import Skipped

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


def judge(lines: str, words: str, status: int | None, now: datetime, stopped: str = "") -> Outcome:
    """By the last of the *lines* that it reported; a run that was killed has none, or one from before that.

    *words* are what it said besides, and *status* is its exit status, negative for a signal, None if nobody knows. If
    it took too long, *stopped* says so: once a certificate is ordered, only the CA is waited for.
    """
    last = lines.splitlines()[-1:]
    try:
        report = Report.model_validate_json("".join(last))
    except ValidationError:
        report = Report.model_validate({"rc": 1, "class": "crash"})
    if report.kind == "crash" and not report.detail:
        word = stopped or next((word for word in reversed(words.splitlines()) if word.strip()), "it said nothing")
        report = report.model_copy(update={"detail": f"certbot ended with status {status}: {word}"})
    outcome = classify(report, now)
    hung_at_ca = stopped and report.ordered and outcome.failure is Failure.CRASH
    return replace(outcome, failure=Failure.SERVER) if hung_at_ca else outcome
