"""What becomes of the path of a request on its way to a backend."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Rewrite:
    """What becomes of the path on its way to a backend: *destination* takes the place of *prefix*."""

    prefix: str
    destination: str

    @property
    def length(self) -> int:
        """How much of the path is cut off; the slash that ends a prefix is put back by the join."""
        return len(self.prefix.rstrip("/"))

    @property
    def header(self) -> str:
        """The prefix as applications expect it, quoted for a format of HAProxy's."""
        return _in_a_format(self.prefix.rstrip("/") or "/")

    @property
    def folder(self) -> str:
        """The destination that the rest of the path is joined to with one slash, likewise quoted."""
        return _in_a_format(self.destination.rstrip("/"))

    @property
    def whole(self) -> str:
        """The destination where nothing of the path remains, likewise quoted."""
        return _in_a_format(self.destination)


def _in_a_format(path: str) -> str:
    """*path*, which its parser keeps free of blanks, quotes and backslashes; ``%`` would begin a variable."""
    return path.replace("%", "%%")
