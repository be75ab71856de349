"""Where runs of certbot that go on at one time keep apart what they cannot share.

All of them work in the one config folder of their directory, so that every lineage and the account stay where plain
certbot looks for them, and no path in a renewal file depends on how many runs there are. certbot wants that folder
for itself alone, but all it guards are things of which no two of our runs touch the same: a run reads and writes
the files of one lineage (``renewal/NAME.conf``, ``live/NAME``, ``archive/NAME``), which the loop gives to one run at
a time; folders that all need are made before (checkup.py); and an account is registered while no other run is under
way. So our runs take certbot's own lock on it in common (certbot_process.py), which still keeps off a certbot that
somebody starts beside us, and the other way round.

A config folder for each run, led back by symlinks, was the other way: certbot writes the folder's name into
``renewal/NAME.conf`` of a new lineage (certbot/_internal/storage.py new_lineage), where it would name a folder that is
gone, or the file would have to be mended after each first run, whatever became of it.

The work and the log folder hold nothing that outlives a run but its log. Each place has its own; the first one has
the folders that there were before there were others.
"""

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from letsencrypt.certonly import Folders
from proxy_agent.daemon.errors import OperationalError


class Places:
    """Numbered places, of which each is taken by one run at a time: so there are never more folders than runs."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._left: list[int] = []
        self._made = 0
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[Folders]:
        """The folders of the first place that is free; from any thread. Raises OperationalError."""
        with self._lock:
            if self._left:
                place = heapq.heappop(self._left)
            else:
                self._made += 1
                place = self._made
        try:
            yield _at(self._folders, place)
        finally:
            with self._lock:
                heapq.heappush(self._left, place)


def _at(folders: Folders, place: int) -> Folders:
    """The work folder has to be there before a run begins, the log folder is certbot's."""
    if place > 1:
        folders = replace(folders, work=folders.work / str(place), logs=folders.logs / str(place))
    try:
        folders.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationalError(f"Cannot make {folders.work}: {error.strerror}.") from error
    return folders
