"""Which certificates a worker has in memory, as it was asked before: with thousands, asking for each takes seconds."""

from collections.abc import Callable, Mapping, Sequence

_AT_EACH_LOOK = 100


class Fingerprints:
    """Remembers the answers of one worker, and asks again for some of them at each look, in turn.

    So whoever changes a certificate past the agent is found out, if not at once where there are many.
    """

    def __init__(self) -> None:
        self._worker = 0
        self._known: dict[str, str] = {}
        self._next = 0

    def of(self, paths: Sequence[str], worker: int, ask: Callable[[str], str]) -> Mapping[str, str]:
        """The fingerprints of all *paths*: from *ask* for those that are new, or whose turn it is."""
        if worker != self._worker:
            self._worker, self._known = worker, {}
        first = self._next if self._next < len(paths) else 0
        self._next = first + _AT_EACH_LOOK
        for path in paths[first : self._next]:
            self._known.pop(path, None)
        self._known = {path: self._known[path] if path in self._known else ask(path) for path in paths}
        return dict(self._known)

    def forget(self, path: str) -> None:
        """What was known of *path* may not be so any more."""
        self._known.pop(path, None)
