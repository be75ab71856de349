"""Imported by every Python that the tests start: certbot's two fixed sleeps of a second become short ones.

They are in certbot/_internal/auth_handler.py (_poll_authorizations) and acme/client.py (poll_finalization).
Where IMPATIENT_TIMEOUT says so many seconds, nobody waits longer for a server either; certbot's own limit is 45 s.
"""

import importlib
import os
import socket
import time
from typing import SupportsIndex

_sleep = time.sleep


def _impatient_sleep(seconds: float | SupportsIndex) -> None:
    _sleep(min(float(seconds), 0.05))


time.sleep = _impatient_sleep

_settimeout = socket.socket.settimeout
_LIMIT = os.environ.get("IMPATIENT_TIMEOUT")


def _impatient_settimeout(self: socket.socket, value: float | None) -> None:
    _settimeout(self, min(float(_LIMIT or 0), float("inf") if value is None else value))


if _LIMIT:
    socket.socket.settimeout = _impatient_settimeout  # type: ignore[assignment,method-assign]

if "DEADLY" in os.environ:
    importlib.import_module("deadly")
