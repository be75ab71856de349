"""The processes below a container's, and their end."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import until


def descendants(pid: int) -> Iterator[int]:
    """All processes below *pid*."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def is_certbot(pid: int) -> bool:
    """Whether it runs certbot."""
    with contextlib.suppress(OSError):
        return b"certbot" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def kill(*pids: int) -> None:
    """SIGKILL; they are gone at the end, and with them what they had locked."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(_is_alive, pids)), "they are gone", pause=0.01)


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that waits to be reaped does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in b"ZX"
    return False
