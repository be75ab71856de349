"""Forks one process for each request: what was imported once, at some cost, is there for all of them.

multiprocessing's own forkserver does not fit: each of its children imports the main module of the asker again, which
costs what was to be saved; it has no sessions, no standard streams of one's own, and no exit status once it is killed.
"""

import atexit
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from types import FrameType

STREAMS = 2
"""Standard output and error of the new process; they come with a request, and after them a socket to report on."""
LARGEST = 1 << 18
"""Bytes of a request; the kernel takes no more by default (socket(7), wmem_default)."""
IDLE = 60.0
"""Seconds without anything to do after which the server ends, to give its memory back."""


def _unprepared(_request: bytes) -> None:
    """Where there is nothing to do before."""


def serve(run: Callable[[bytes], int], prepare: Callable[[bytes], None] = _unprepared, idle: float = IDLE) -> None:
    """Fork for each request on the socket that is standard input, until its other end is closed or nothing is asked.

    *prepare* is called with each request before. Each child has a session of its own, calls *run* with the request, and
    exits with what that returns. On the socket that came with the request it writes its process id first, and the
    server its exit status after its end: where there is nothing to be read before that socket ends, nothing was
    begun. For a process of one thread.
    """
    requests = socket.socket(fileno=os.dup(0))
    _replace(0, os.open(os.devnull, os.O_RDONLY))
    ended, wakes = socket.socketpair()
    for end in (ended, wakes):
        end.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, _wake)
    # What is there now stays as it is: no child's collector looks at it, and so copies it.
    gc.collect()
    gc.freeze()
    children: dict[int, socket.socket] = {}
    while True:
        readable, _, _ = select.select([requests, ended], [], [], None if children else idle)
        if ended in readable:
            _reap(children, ended)
        request, descriptors = b"", list[int]()
        if requests in readable:
            request, descriptors, _, _ = socket.recv_fds(requests, LARGEST, STREAMS + 1)
        elif readable:
            continue
        if not request:
            return
        prepare(request)
        report = socket.socket(fileno=descriptors.pop())
        pid = os.fork()
        if not pid:
            _leave(requests, ended, wakes, *children.values())
            _become(partial(run, request), descriptors, report)
        children[pid] = report
        for descriptor in descriptors:
            os.close(descriptor)


def _leave(*theirs: socket.socket) -> None:
    for each in theirs:
        each.close()


def _replace(number: int, descriptor: int) -> None:
    os.dup2(descriptor, number)
    os.close(descriptor)


def _wake(_signal: int, _frame: FrameType | None) -> None:
    """The signal is on the wakeup descriptor already."""


def _reap(children: dict[int, socket.socket], ended: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        ended.recv(4096)
    for pid in list(children):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            with children.pop(pid) as report, contextlib.suppress(OSError):
                report.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(run: Callable[[], int], descriptors: list[int], report: socket.socket) -> None:
    """Be the child; does not return."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, descriptor in enumerate(descriptors, 1):
            _replace(number, descriptor)
        with report:
            report.send(str(os.getpid()).encode())
        status = run()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as at the end of any program
        traceback.print_exc()
    finally:
        # All that an interpreter does at its end but for taking itself apart.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
