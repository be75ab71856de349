"""Where we listen to certbot, and guard it, from inside its own process.

Nothing here is undone: it is for a process that runs certbot once.
"""

import argparse
import contextlib
import errno
import fcntl
import functools
import importlib.metadata
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import requests
from acme import messages
from acme.client import ClientNetwork, ClientV2
from certbot import errors, util
from certbot._internal.auth_handler import AuthHandler
from certbot._internal.plugins.disco import PluginsRegistry
from josepy.errors import Error as JoseError
from josepy.jwk import JWK, JWKRSA

from letsencrypt.certbot_retries import ask_again

_KEYS = 16
"""More than anybody has accounts."""

PRIVATE = (
    (ClientNetwork, "_check_response", ("response", "content_type")),
    (AuthHandler, "_report_failed_authzrs", ("self", "failed_authzrs")),
    (util, "lock_dir_until_exit", ("dir_path",)),
)
"""Functions that are not for us, with the parameters they must have.

Without the first two less is known; without the last, runs beside each other are refused by certbot's lock.
"""


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


def listen(report: Report, note: Callable[[str], None], refusal: str) -> None:
    """Have certbot tell *report* more than its exceptions do, for the rest of this process."""
    for owner, name, parameters in PRIVATE:
        function = getattr(owner, name, None)
        known = function is not None and tuple(inspect.signature(function).parameters) == parameters
        if known and name in _LISTENERS:
            _LISTENERS[name](report)
    _guard_orders(note, refusal)
    _mark_finalization(note)
    ask_again(lambda: bool(report.http and report.http[-1]["url"] == report.url and report.http[-1]["retry_after"]))
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
            report.fails.extend(failure_of(name, problem) for problem in problems)
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


def warm_up() -> None:
    """Do once, in the process that forks, what each run would do again in the same way.

    The plugins are found and imported; what is installed does not change while a process lives.
    """
    importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)  # type: ignore[assignment]
    keep_keys()
    PluginsRegistry.find_all()


def keep_keys() -> None:
    """Let an account's key be checked once and not in each run: that takes a third of a run's work.

    Whatever differs in a single digit is another key, and checked for itself.
    """
    read = JWKRSA.fields_from_json

    @functools.lru_cache(maxsize=_KEYS)
    def known(fields: tuple[tuple[str, Any], ...]) -> JWKRSA:
        return read(dict(fields))

    def read_once(_cls: type[JWKRSA], jobj: Mapping[str, Any]) -> JWKRSA:
        try:
            return known(tuple(sorted(jobj.items())))
        except TypeError:  # no key, but certbot says so better
            return read(jobj)

    JWKRSA.fields_from_json = classmethod(read_once)  # type: ignore[method-assign,assignment]


def know_keys(config_folder: Path) -> None:
    """Read the keys of the accounts there, for the runs to come; one that cannot be read is left to them."""
    for path in config_folder.glob("accounts/**/private_key.json"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError, JoseError):
            JWK.json_loads(path.read_text(encoding="utf-8"))


def config_folder_of(arguments: Sequence[str]) -> Path | None:
    """The one that certbot is given."""
    words = list(arguments)
    return Path(words[words.index("--config-dir") + 1]) if "--config-dir" in words else None


def share_config_folder(arguments: Sequence[str]) -> None:
    """Take certbot's lock on its config folder in common with our other runs (places.py); on others as ever.

    Who wants it alone, as any certbot that is not ours does, gets it when no run of ours is under way.
    """
    config_folder = config_folder_of(arguments)
    lock = util.lock_dir_until_exit

    def share(dir_path: str) -> None:
        if config_folder is not None and dir_path == str(config_folder.absolute()):
            _lock_in_common(Path(dir_path) / ".certbot.lock")
        else:
            lock(dir_path)

    util.lock_dir_until_exit = share


def _lock_in_common(path: Path) -> None:
    """Hold *path*, certbot's lock file, until this process ends (certbot/_internal/lock.py); never remove it.

    certbot removes it when it is done, so what was locked has to be what is still there.
    """
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                raise errors.LockError("Another instance of Certbot is already running.") from error
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return
        os.close(descriptor)


def failure_of(identifier: str, problem: messages.Error) -> dict[str, str]:
    """What the report says of one *identifier*."""
    return {"identifier": identifier, "type": error_type(problem), "detail": problem.detail or ""}


def error_type(problem: messages.Error) -> str:
    """Also of types that the acme library does not know, such as those newer than it."""
    return str(problem.typ).rpartition(":")[2]
