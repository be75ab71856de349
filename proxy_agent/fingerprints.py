"""Which certificates a worker has in memory, as it was asked before: with thousands, asking for each takes seconds."""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import batched

_AT_EACH_LOOK = 100
_IN_ONE_LINE = 50
"""Questions that fit into HAProxy's buffer together, however long the paths are."""
_FINGERPRINT = re.compile(r"^Filename: (\S+)$|^SHA1 FingerPrint: ([0-9A-F]+)$", re.MULTILINE)


class Fingerprints:
    """Remembers the answers of one worker, and asks again for some of them at each look, in turn.

    So whoever changes a certificate past the agent is found out, if not at once where there are many.
    """

    def __init__(self) -> None:
        self._worker = 0
        self._known: dict[str, str] = {}
        self._next = 0

    def of(self, paths: Sequence[str], worker: int, ask: Callable[[str], str]) -> Mapping[str, str]:
        """The fingerprints of all *paths*: by *ask*, which runs a command, for those that are new or have their turn.

        That of an empty store is empty.
        """
        if worker != self._worker:
            self._worker, self._known = worker, {}
        first = self._next if self._next < len(paths) else 0
        self._next = first + _AT_EACH_LOOK
        for path in paths[first : self._next]:
            self._known.pop(path, None)
        asked: dict[str, str] = {}
        for some in batched((path for path in paths if path not in self._known), _IN_ONE_LINE, strict=False):
            asked |= _fingerprints(ask(";".join(f"show ssl cert {path}" for path in some)))
        found = {path: self._known.get(path) or asked.get(path, "") for path in paths}
        # A store is empty only for a moment: that is not worth remembering.
        self._known = {path: fingerprint for path, fingerprint in found.items() if fingerprint}
        return found

    def forget(self, path: str) -> bool:
        """What was known of *path* may not be so any more; whether anything was."""
        return self._known.pop(path, None) is not None


def _fingerprints(answers: str) -> dict[str, str]:
    """By path, as many answers to ``show ssl cert PATH`` say."""
    found: dict[str, str] = {}
    path = ""
    for match in _FINGERPRINT.finditer(answers):
        if match[1]:
            path = match[1]
        else:
            found[path] = match[2]
    return found
