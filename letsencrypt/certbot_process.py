"""Each certbot run in a process of its own: an order with the arguments comes in, one JSON line goes out.

certbot.main.main() may run once in a process: it replaces sys.excepthook, keeps locks and log files until exit and
sets signal handlers. Its exit status is 1 for every failure and its words are made for people, so the outcome is
taken from the class of the exception.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import requests
from acme import errors as acme_errors
from acme import messages
from certbot import errors, main

from letsencrypt.certbot_hooks import put_off_deploy_hooks
from letsencrypt.certbot_seams import (
    OrderRefusedError,
    Report,
    UsageError,
    config_folder_of,
    error_type,
    failure_of,
    know_keys,
    listen,
    share_config_folder,
    warm_up,
)
from letsencrypt.forkserver import serve
from letsencrypt.replaces import replace_held


def run(arguments: Sequence[str], report: Report, note: Callable[[str], None], refusal: str = "") -> None:
    """Run certbot and fill *report*, also when an error that certbot does not know goes on to the caller.

    *note* is called with ``ordered`` and ``finalized``, fields of *report*, before the one and the other is done, and
    may prevent it. Where there is a *refusal*, nothing is ordered.
    """
    started = time.monotonic()
    replace_held(arguments)
    listen(report, note, refusal)
    share_config_folder(arguments)
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
    report.kind, report.code = "acme", error_type(problem)
    report.detail = problem.detail or problem.description or problem.typ
    report.sub = [failure_of(sub.identifier.value if sub.identifier else "", sub) for sub in problem.subproblems or ()]


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


def run_once(order_json: bytes) -> int:
    """Be the process of the run that *order_json* asks for; its exit status.

    Standard output belongs to the report, so whatever certbot prints goes to standard error. The report is written
    at the end, and before that when a certificate is ordered and asked for: the last line counts, and of a run that
    is killed later that is the one which says how far it came.
    """
    order = json.loads(order_json)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as line:
        os.dup2(2, 1)
        tempfile.tempdir = order["temporary_folder"]
        report = Report()

        def note(word: str) -> None:
            _note(order.get("journal", ""), word)
            setattr(report, word, True)
            _write(report, line)

        if order.get("hooks"):
            put_off_deploy_hooks(Path(order["hooks"]))
        try:
            run(order["arguments"], report, note, order.get("refusal", ""))
        finally:
            _write(report, line)
    return report.rc


def prepare(order_json: bytes) -> None:
    """Before the process of that run is forked."""
    if folder := config_folder_of(json.loads(order_json)["arguments"]):
        know_keys(folder)


if __name__ == "__main__":
    warm_up()
    serve(run_once, prepare)
