"""Kills its process, or the whole container, at one chosen change of a file; made for every Python that a test starts.

DEADLY names the folder to watch and one change there, ``FOLDER|CHANGE``, where a change is ``open`` (to write),
``rename``, ``remove``, ``mkdir`` or ``symlink`` and a path below the folder, perhaps with ``empty``: just after such
a file was made, before anything is in it. Else it is just before the change. Names that are made up are X.
DEADLY_ROOT is the process that dies, too; empty: the first one that reads this.
"""

import os
import re
import signal
import sys

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_VERBS = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.symlink": "symlink"}


def watch(folder: str, change: str) -> None:
    """Look at each change below *folder* before it is made (Python library reference, audit events)."""
    busy = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal busy
        line = "" if busy else _change(folder, event, arguments)
        if not line:
            return
        busy = True
        if line == change:
            _die()
        if f"{line} empty" == change and line.startswith("open "):
            os.close(os.open(str(arguments[0]), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
            _die()
        busy = False

    sys.addaudithook(hook)


def _change(folder: str, event: str, arguments: tuple[object, ...]) -> str:
    """Such as ``open etc/renewal/a.example.conf``; empty for anything else."""
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        verb, path = "open", arguments[0]
    elif event in _VERBS:
        verb, path = _VERBS[event], arguments[1] if event in ("os.rename", "os.symlink") else arguments[0]
    else:
        return ""
    name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    if not name.startswith(f"{folder}/"):
        return ""
    plain = re.sub(
        r"/[0-9a-f]{32}\b|/[A-Za-z0-9_-]{43}$|/\.[^/]*\.[^/]*$|tmp[a-z0-9_]{8}", "/X", name[len(folder) + 1 :]
    )
    return f"{verb} {plain}"


def _die() -> None:
    if root := os.environ.get("DEADLY_ROOT"):
        os.kill(int(root), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if _plan := os.environ.get("DEADLY"):
    if os.environ.get("DEADLY_ROOT") == "":
        os.environ["DEADLY_ROOT"] = str(os.getpid())
    watch(*_plan.split("|"))
