"""Bundles in files: each is read once for as long as it stays the same, and no look spends long on it."""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy_agent.daemon.errors import Skipped
from proxy_agent.given_certificates import of_a_size_to_load
from proxy_agent.tls.bundle import Bundle, parse_bundle
from proxy_agent.turns import in_turns

_STEM = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,200}")
"""Becomes a file name and a word of the crt-list."""
_LARGEST_FILE = 256 * 1024
_SECONDS_OF_A_LOOK = 0.5
"""Containers come and go meanwhile: ten thousand new files take several."""
_TRIED_AGAIN = 100

Outcome = Bundle | Skipped
_State = tuple[tuple[str, int, int, int, int], ...]


@dataclass(frozen=True)
class Read:
    """What is known of files after one look at them."""

    outcomes: Mapping[str, Outcome]
    """By name: the bundle, or why there is none. That of a file that has changed, and is not read yet, as it was."""
    unread: frozenset[str]
    """The names whose files are new or have changed, and are left to the next look."""


class BundleFiles:
    """Remembers what was in files; the first look of all reads everything, as there is nothing yet to go on with.

    What was of no use is tried again in turn, some at each look: what hindered it need not be in the file.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[_State, Outcome]] = {}
        self._read_before = False
        self._next = 0

    def read(self, files: Mapping[str, tuple[str, ...]], unlisted: tuple[str, ...] = ()) -> Read:
        """The outcome for each name in *files*, which gives the paths; never raises for what is in them.

        Nothing is forgotten of names that begin as one of *unlisted*, about which nothing is known at present.
        """
        begun = self._clock()
        outcomes, changed = self._unchanged(files)
        now = self._clock()
        # Where it takes seconds to find out what has changed, as long again: else that is most of what looks do.
        until = now + max(_SECONDS_OF_A_LOOK, now - begun) if self._read_before else float("inf")
        self._read_before = True
        waiting = in_turns(changed, lambda name: name in self._known)
        unread: list[str] = []
        for number, name in enumerate(waiting):
            if number and self._clock() >= until:
                unread = waiting[number:]
                break
            self._known[name] = changed[name], _read(name, files[name])
        again = self._tried_again(outcomes)
        for name in again:
            if self._clock() < until:
                self._known[name] = self._known[name][0], _read(name, files[name])
        outcomes |= {name: self._known[name][1] for name in (*waiting, *again) if name in self._known}
        kept = (name for name in self._known if name in files or name.startswith(unlisted))
        self._known = {name: self._known[name] for name in kept}
        return Read(outcomes, frozenset(unread))

    def _unchanged(self, files: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, Outcome], dict[str, _State]]:
        """What is known of those that are as they were, or not there; and the others with their present state."""
        outcomes: dict[str, Outcome] = {}
        changed: dict[str, _State] = {}
        for name, paths in files.items():
            try:
                state = tuple((path, *_identity(path)) for path in paths)
            except OSError as error:
                outcomes[name] = Skipped(paths[-1], _reason(error))
                self._known.pop(name, None)
                continue
            known = self._known.get(name)
            if known and known[0] == state:
                outcomes[name] = known[1]
            else:
                changed[name] = state
        return outcomes, changed

    def _tried_again(self, outcomes: Mapping[str, Outcome]) -> list[str]:
        bad = [name for name, outcome in outcomes.items() if isinstance(outcome, Skipped) and name in self._known]
        first = self._next if self._next < len(bad) else 0
        self._next = first + _TRIED_AGAIN
        return bad[first : self._next]


def _read(name: str, paths: tuple[str, ...]) -> Outcome:
    try:
        if not _STEM.fullmatch(name.partition("/")[2]):
            raise ValueError("its name may hold letters, digits, '.', '_', '-' and '*' only")
        if any(Path(path).stat().st_size > _LARGEST_FILE for path in paths):
            raise ValueError(f"larger than {_LARGEST_FILE // 1024} KiB")
        return of_a_size_to_load(parse_bundle(name, b"\n".join(Path(path).read_bytes() for path in paths)))
    except (ValueError, OSError) as error:
        return Skipped(paths[-1], _reason(error))


def _identity(path: str) -> tuple[int, int, int, int]:
    status = os.stat(path)  # noqa: PTH116 - several times as fast as Path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _reason(error: ValueError | OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    if isinstance(error, PermissionError):
        return f"{Path(error.filename).name} may not be read by this container's user (uid 10001): chown or chmod it"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return str(error)
