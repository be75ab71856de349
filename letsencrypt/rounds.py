"""A round of deliveries: what it is about, and the lock by which there is only one at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_LOCK = ".lock"


class Job(BaseModel):
    """What a round is about."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    """That of the outboxes."""
    urls: tuple[str, ...] = Field(default=(), repr=False)
    program: str = ""
    log_format: Literal["text", "json"] = "text"
    log_level: str = "info"


def is_under_way(folder: Path) -> bool:
    """Whether a round is being made; none begins before its end."""
    with locked(folder) as is_ours:
        return not is_ours


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of *folder* if nobody else does; it is gone with the process that holds it (flock(2))."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
