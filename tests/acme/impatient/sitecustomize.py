"""Imported by every Python that the tests start: certbot's two fixed sleeps of a second become short ones.

They are in certbot/_internal/auth_handler.py (_poll_authorizations) and acme/client.py (poll_finalization).
"""

import time
from typing import SupportsIndex

_sleep = time.sleep


def _impatient_sleep(seconds: float | SupportsIndex) -> None:
    _sleep(min(float(seconds), 0.05))


time.sleep = _impatient_sleep
