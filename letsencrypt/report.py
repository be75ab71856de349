"""What a certbot run reports of itself, and which kind of failure that is."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

from letsencrypt.schedule import Failure, parse_retry_after


class Problem(BaseModel):
    """What the CA says about one name."""

    identifier: str = ""
    type: str = ""
    detail: str = ""


class Answer(BaseModel):
    """One answer of the CA that was an error."""

    status: int
    retry_after: str | None = None
    url: str = ""


class Report(BaseModel):
    """The JSON line of certbot_process.py, where each field is explained."""

    model_config = ConfigDict(frozen=True)

    rc: int
    kind: str = Field(alias="class")
    code: str = ""
    detail: str = ""
    sub: tuple[Problem, ...] = ()
    fails: tuple[Problem, ...] = ()
    http: tuple[Answer, ...] = ()
    ordered: bool = False
    finalized: bool = False
    url: str = ""
    secs: float = 0.0


_BY_KIND = {
    "usage": Failure.USAGE,
    "lock": Failure.LOCK,
    "authz": Failure.VALIDATION,
    "budget": Failure.BUDGET,
}
_REFUSED = frozenset(
    (
        *("rejectedIdentifier", "unsupportedIdentifier", "malformed", "badCSR", "badPublicKey", "invalidProfile"),
        *("externalAccountRequired", "invalidContact", "unsupportedContact", "badSignatureAlgorithm"),
    )
)
_VALIDATION = frozenset(("caa", "dns", "connection", "tls", "incorrectResponse"))
_ACCOUNT = frozenset(("accountDoesNotExist", "userActionRequired", "unauthorized"))
_OF_CA = frozenset({Failure.NETWORK, Failure.BUSY, Failure.SERVER, Failure.RATE_LIMITED, Failure.NONCE})
_UNSETTLED = frozenset({*_OF_CA, Failure.CRASH})
"""Failures that, after the certificate was asked for, do not tell whether it was issued."""
_CERTBOT_CRASHES = frozenset(("CertStorageError", "PluginError", "SubprocessError", "SignalExit"))
_BUSY_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_ABOUT_A_LIMIT = "/rate-limits/#"
"""In the CA's words on one of its limits (https://letsencrypt.org/docs/rate-limits/)."""


def failure_of(report: Report) -> Failure:
    """Why the run failed, which did."""
    failure = _failure(report)
    is_unsettled = report.finalized and (failure in _UNSETTLED or report.kind == "certbot")
    return Failure.AFTER_FINALIZE if is_unsettled else failure


def _failure(report: Report) -> Failure:
    match report.kind:
        case "acme":
            return _failure_of_problem(report)
        case "network":
            return Failure.BUSY if _status(report) in _BUSY_STATUSES else Failure.NETWORK
        case "certbot":
            return _failure_of_certbot(report.code)
        case kind:
            return _BY_KIND.get(kind, Failure.CRASH)


def _failure_of_problem(report: Report) -> Failure:
    """By the ACME error type (RFC 8555 section 6.7); a type that nobody knows is the CA's own trouble."""
    if _status(report) == HTTPStatus.SERVICE_UNAVAILABLE:
        return Failure.BUSY
    if report.code == "rateLimited":
        # Before an order it is about all of them, unless it names a limit of its own.
        return Failure.RATE_LIMITED if report.ordered or _ABOUT_A_LIMIT in report.detail else Failure.BUSY
    if report.code == "badNonce":
        return Failure.NONCE
    by_code = ((_REFUSED, Failure.REFUSED), (_VALIDATION, Failure.VALIDATION), (_ACCOUNT, Failure.ACCOUNT))
    if report.code == "serverInternal" and not report.ordered:
        return Failure.NETWORK
    return next((failure for codes, failure in by_code if report.code in codes), Failure.SERVER)


def _failure_of_certbot(code: str) -> Failure:
    if code.startswith("Account"):
        return Failure.ACCOUNT
    return Failure.CRASH if code in _CERTBOT_CRASHES else Failure.REFUSED


def _status(report: Report) -> int | None:
    """Of the error that the run ended with."""
    return next((answer.status for answer in _last_errors(report)), None)


def _last_errors(report: Report) -> Iterator[Answer]:
    """The latest first; without what the run got over, such as errors of renewal information (RFC 9773)."""
    return (answer for answer in reversed(report.http) if report.url in ("", answer.url))


def retry_after_of(report: Report, now: datetime) -> timedelta | None:
    """How long the CA asked to wait, at *now*; whoever sends garbage is treated as having sent nothing."""
    for answer in _last_errors(report):
        try:
            return parse_retry_after(answer.retry_after or "", now)
        except ValueError:
            continue
    return None
