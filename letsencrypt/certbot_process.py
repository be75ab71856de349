"""One certbot run in a process of its own: arguments come in on standard input, one JSON line goes out.

certbot.main.main() may run once in a process: it replaces sys.excepthook, keeps locks and log files until exit and
sets signal handlers. Its exit status is 1 for every failure and its words are made for people, so the outcome is
taken from the class of the exception. Imports nothing of ours, so that it may be run by its path alone.
"""

import argparse
import functools
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO

import requests
from acme import errors as acme_errors
from acme import messages
from acme.client import ClientNetwork, ClientV2
from certbot import errors, main
from certbot._internal.auth_handler import AuthHandler

PRIVATE = (
    (ClientNetwork, "_check_response", ("response", "content_type")),
    (AuthHandler, "_report_failed_authzrs", ("self", "failed_authzrs")),
)
"""Private functions that are listened to, with the parameters they must have; without them less is known."""


class UsageError(Exception):
    """certbot's parser does not accept the command line; the message is argparse's."""


class OrderRefusedError(Exception):
    """certbot was about to order, which it must not this time; the message says why."""


@dataclass
class Report:
    """What became of the run; the field names are the keys of the JSON line, where kind is called class."""

    rc: int = 1
    kind: str = "crash"
    """One of: ok, usage, lock, authz, acme, network, certbot, budget, crash."""
    code: str = ""
    """The ACME error type without its prefix (RFC 8555 section 6.7), else the name of the exception's class."""
    detail: str = ""
    sub: list[dict[str, str]] = field(default_factory=list)
    """Subproblems: identifier, type, detail (RFC 8555 section 6.7.1)."""
    fails: list[dict[str, str]] = field(default_factory=list)
    """Failed authorizations: identifier, type, detail (RFC 8555 section 8)."""
    http: list[dict[str, Any]] = field(default_factory=list)
    """Every answer of the CA that was an error: status, retry_after, url."""
    ordered: bool = False
    """Whether a certificate was ordered (RFC 8555 section 7.4), at least in this process's mind."""
    finalized: bool = False
    """Whether the certificate was asked for (RFC 8555 section 7.4), so that it may exist whatever came after."""
    url: str = ""
    """What of the CA was asked for last."""
    secs: float = 0.0


def run(arguments: Sequence[str], report: Report, note: Callable[[str], None], refusal: str = "") -> None:
    """Run certbot and fill *report*, also when an error that certbot does not know goes on to the caller.

    *note* is called with ``ordered`` and ``finalized``, fields of *report*, before the one and the other is done, and
    may prevent it. Where there is a *refusal*, nothing is ordered.
    """
    started = time.monotonic()
    _listen(report, note, refusal)
    try:
        result = main.main(list(arguments))
        report.rc, report.kind = (0, "ok") if not result else (1, "certbot")
        report.detail = str(result or "")
    except UsageError as error:
        _describe(report, "usage", error)
    except OrderRefusedError as error:
        _describe(report, "budget", error)
    except errors.LockError as error:
        _describe(report, "lock", error)
    except errors.AuthorizationError as error:
        _describe(report, "authz", error)
    except messages.Error as error:
        _describe_problem(report, error)
    except acme_errors.IssuanceError as error:
        _describe_problem(report, error.error)
    except errors.Error as error:
        _describe_certbot_error(report, error)
    except (acme_errors.Error, requests.RequestException) as error:
        _describe(report, "network", error, _network_detail(report, error))
    finally:
        unknown = sys.exc_info()[1]
        if unknown is not None:
            _describe(report, "crash", unknown)
        report.secs = round(time.monotonic() - started, 3)


def _describe(report: Report, kind: str, error: BaseException, detail: str = "") -> None:
    report.kind, report.code, report.detail = kind, type(error).__name__, detail or str(error)


def _describe_certbot_error(report: Report, error: errors.Error) -> None:
    """What the CA says when it opens no account reaches us as the context of an error of certbot's own."""
    if isinstance(error.__context__, messages.Error):
        _describe_problem(report, error.__context__)
    else:
        _describe(report, "certbot", error)


def _network_detail(report: Report, error: BaseException) -> str:
    """The error at the bottom: those above it repeat it, and name objects by their address."""
    came_back = not isinstance(error, requests.RequestException) or isinstance(error, requests.JSONDecodeError)
    if isinstance(error, requests.RequestException) and error.request is not None:
        report.url = error.request.url or ""
    if came_back and not isinstance(error, acme_errors.TimeoutError):
        last = report.http[-1] if report.http else {"url": ""}
        is_error = last["url"] == report.url != ""
        return f"it answered with the HTTP status {last['status']}" if is_error else "what it answers is not ACME"
    while below := error.__cause__ or error.__context__:
        error = below
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _describe_problem(report: Report, problem: messages.Error) -> None:
    report.kind, report.code = "acme", _error_type(problem)
    report.detail = problem.detail or problem.description or problem.typ
    report.sub = [_failure(sub.identifier.value if sub.identifier else "", sub) for sub in problem.subproblems or ()]


def _failure(identifier: str, problem: messages.Error) -> dict[str, str]:
    return {"identifier": identifier, "type": _error_type(problem), "detail": problem.detail or ""}


def _error_type(problem: messages.Error) -> str:
    """Also of types that the acme library does not know, such as those newer than it."""
    return str(problem.typ).rpartition(":")[2]


def _listen(report: Report, note: Callable[[str], None], refusal: str) -> None:
    """Have certbot tell *report* more than its exceptions do, for the rest of this process."""
    for owner, name, parameters in PRIVATE:
        function = getattr(owner, name, None)
        if function is not None and tuple(inspect.signature(function).parameters) == parameters:
            _LISTENERS[name](report)
    _guard_orders(note, refusal)
    _mark_finalization(note)
    argparse.ArgumentParser.error = _refuse  # type: ignore[assignment,method-assign]  # documented to be overridden


def _refuse(_parser: argparse.ArgumentParser, message: str) -> NoReturn:
    raise UsageError(message)


def _record_answers(report: Report) -> None:
    check = ClientNetwork._check_response

    def listen(response: requests.Response, content_type: str | None = None) -> requests.Response:
        report.url = response.url
        if not response.ok:
            retry_after = response.headers.get("Retry-After")
            report.http.append({"status": response.status_code, "retry_after": retry_after, "url": response.url})
        return check(response, content_type)

    ClientNetwork._check_response = staticmethod(listen)  # type: ignore[method-assign]


def _record_authorizations(report: Report) -> None:
    tell = AuthHandler._report_failed_authzrs

    @functools.wraps(tell)
    def listen(self: AuthHandler, failed_authzrs: list[messages.AuthorizationResource]) -> None:
        for authorization in failed_authzrs:
            name = authorization.body.identifier.value
            problems = [challenge.error for challenge in authorization.body.challenges if challenge.error]
            report.fails.extend(_failure(name, problem) for problem in problems)
        tell(self, failed_authzrs)

    AuthHandler._report_failed_authzrs = listen  # type: ignore[method-assign]


_LISTENERS = {"_check_response": _record_answers, "_report_failed_authzrs": _record_authorizations}


def _guard_orders(note: Callable[[str], None], refusal: str) -> None:
    new_order = ClientV2.new_order

    @functools.wraps(new_order)
    def listen(self: ClientV2, *arguments: object, **more: object) -> messages.OrderResource:
        if refusal:
            raise OrderRefusedError(refusal)
        note("ordered")
        return new_order(self, *arguments, **more)  # type: ignore[arg-type]  # whatever its signature

    ClientV2.new_order = listen  # type: ignore[method-assign]


def _mark_finalization(note: Callable[[str], None]) -> None:
    finalize = ClientV2.begin_finalization

    @functools.wraps(finalize)
    def listen(self: ClientV2, orderr: messages.OrderResource) -> messages.OrderResource:
        note("finalized")
        return finalize(self, orderr)

    ClientV2.begin_finalization = listen  # type: ignore[method-assign]


def _note(journal: str, word: str) -> None:
    """Add *word* to the *journal*, on the disk: whoever finds it after a crash knows how far this run came."""
    if not journal:
        return
    with Path(journal).open("a", encoding="utf-8") as file:
        file.write(f"{word}\n")
        file.flush()
        os.fsync(file.fileno())


def _write(report: Report, line: TextIO) -> None:
    fields = asdict(report)
    json.dump({"class": fields.pop("kind"), **fields}, line)
    line.write("\n")
    line.flush()


def _main() -> int:
    """Standard output belongs to the report, so whatever certbot prints goes to standard error.

    The report is written at the end, and before that when a certificate is ordered and asked for: the last line
    counts, and of a run that is killed later that is the one which says how far it came.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as line:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        order = json.load(sys.stdin)
        tempfile.tempdir = order["temporary_folder"]
        report = Report()

        def note(word: str) -> None:
            _note(order.get("journal", ""), word)
            setattr(report, word, True)
            _write(report, line)

        try:
            run(order["arguments"], report, note, order.get("refusal", ""))
        finally:
            _write(report, line)
    return report.rc


if __name__ == "__main__":
    sys.exit(_main())
