"""The edge to ``proxy-state``: what HAProxy is told to read, kept so that any restart comes up the same.

::

    current -> generations/IDENTITY.N     the configuration, its lists and maps
    certificates/SOURCE/NAME.pem          bundles, each validated before it was written
    default.pem                           the certificate for clients that ask for no known name
    services.json                         the last complete answer of Docker
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import TEMPORARY_PREFIX, sync_folder, write_each_whole, write_whole
from proxy_agent.routing.model import Service
from proxy_agent.routing.render import CONFIGURATION

_SERVICES = TypeAdapter(tuple[Service, ...])


class Deployment:
    """The folder is ours alone: whoever uses it first holds its lock until the process ends."""

    def __init__(self, folder: Path) -> None:
        # One spelling for each file below, whatever links lead here: "current" is compared with the others by path.
        folder = folder.resolve()
        self._folder = folder
        self._current = folder / "current"
        self._generations = folder / "generations"
        self._services = folder / "services.json"
        self.configuration = self._current / CONFIGURATION
        self.default_certificate = folder / "default.pem"
        self._lock: int | None = None
        self._stored: dict[str, tuple[object, bytes]] = {}
        """Each bundle with the state of its file when it was read."""

    def lock(self) -> None:
        """Refuse to be a second writer; raises OperationalError."""
        with _failure(f"Cannot use {self._folder}"):
            self._lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationalError(f"Another agent already works in {self._folder}.") from None

    def files(self) -> Mapping[str, bytes]:
        """The current configuration by relative path; what cannot be read is not there, and is written again."""
        paths = [path for path in _below(self._current, "**/*") if not path.name.startswith(TEMPORARY_PREFIX)]
        return {str(path.relative_to(self._current)): content for path, content in _contents(paths)}

    def certificate_path(self, name: str) -> str:
        """Where the bundle *name* is kept, which is also its name in HAProxy."""
        # Not by a Path: this is asked of thousands at a time.
        return f"{self._folder}/certificates/{name}.pem"

    def certificate_name(self, path: str) -> str:
        """The name of the bundle kept at *path*."""
        return path.removeprefix(f"{self._folder}/").removesuffix(".pem").removeprefix("certificates/")

    def certificates(self) -> Mapping[str, bytes]:
        """All bundles that HAProxy may be told to read, by path."""
        kept = [path for folder in _below(self._folder / "certificates", "*") for path in _bundles(folder)]
        self._stored = dict(self._unchanged_or_read([*kept, str(self.default_certificate)]))
        return {path: content for path, (_, content) in self._stored.items()}

    def store_certificates(self, bundles: Mapping[str, bytes]) -> None:
        """Keep bundles, by path; raises OperationalError, and then each is the old one or the new."""
        paths = {Path(path): pem for path, pem in bundles.items()}
        for folder in {path.parent for path in paths}:
            with _failure(f"Cannot write {folder}"):
                self._make_way(folder / "any")
                folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            with _failure(f"Cannot write {path}"):
                _remove_folder(path)
        write_each_whole(paths)

    def remove_certificate(self, path: str) -> None:
        """Forget a bundle that no configuration names any more."""
        with _failure(f"Cannot remove {path}"):
            Path(path).unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        """Replace one file of the current configuration: what the runtime API changed must outlive the worker."""
        self._write(self._current / name, content)

    def stage(self, files: Mapping[str, bytes], identity: str) -> Path:
        """Write a whole configuration beside the current one, for HAProxy to check where it stands."""
        with _failure(f"Cannot write below {self._generations}"):
            taken = {path.name for path in self._generations.glob("*")} if self._generations.is_dir() else set()
            number = next(n for n in range(len(taken) + 1) if f"{identity}.{n}" not in taken)
            staged = self._generations / f"{identity}.{number}"
            self._make_way(staged)
            staged.mkdir(parents=True)
        try:
            for name, content in files.items():
                self._write(staged / name, content)
        except OperationalError:
            self.discard(staged)
            raise
        return staged

    def commit(self, staged: Path) -> Path | None:
        """Make *staged* the current configuration in one step; the one it replaces, still whole, is returned."""
        previous = self._current.resolve() if self._current.is_symlink() else None
        link = self._folder / f"{TEMPORARY_PREFIX}current"
        with _failure(f"Cannot make {staged} current"):
            link.unlink(missing_ok=True)
            link.symlink_to(staged.relative_to(self._folder))
            if not self._current.is_symlink():
                self._make_way(self._current)
            link.replace(self._current)
            sync_folder(self._folder)
        return previous

    def discard(self, generation: Path) -> None:
        """Remove a configuration that nothing runs; what cannot be removed now is removed by prune() later."""
        shutil.rmtree(generation, ignore_errors=True)

    def prune(self) -> None:
        """Remove all configurations but the current one."""
        current = self._current.resolve()
        for generation in self._generations.glob("*"):
            if generation != current:
                self.discard(generation)

    def remember(self, services: tuple[Service, ...]) -> None:
        """Keep Docker's last complete answer for a start at which Docker cannot be asked."""
        content = _SERVICES.dump_json(services)
        with contextlib.suppress(OSError):
            if self._services.read_bytes() == content:
                return
        self._write(self._services, content)

    def remembered(self) -> tuple[Service, ...]:
        """The services of the last complete answer; none where there was none, or an older version wrote it."""
        try:
            return _SERVICES.validate_json(self._services.read_bytes())
        except (OSError, ValidationError):
            return ()

    def _unchanged_or_read(self, paths: Iterable[str]) -> Iterator[tuple[str, tuple[object, bytes]]]:
        """Thousands of bundles are not read at every look: nobody else writes here, and what does changes its stat."""
        for path in paths:
            with contextlib.suppress(OSError):
                found = os.stat(path)  # noqa: PTH116 - four times as fast as Path.stat() with thousands
                state = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
                known = self._stored.get(path)
                yield path, known if known and known[0] == state else (state, Path(path).read_bytes())

    def _write(self, path: Path, content: bytes) -> None:
        with _failure(f"Cannot write {path}"):
            self._make_way(path)
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)

    def _make_way(self, path: Path) -> None:
        """Remove what stands where a file of ours, or a folder for it, is to be: nobody else has a place here."""
        for folder in path.parents:
            if folder != self._folder and folder.is_relative_to(self._folder) and folder.is_file():
                folder.unlink()
        _remove_folder(path)


def _below(folder: Path, pattern: str) -> list[Path]:
    """What lies there, sorted; nothing where the folder cannot be read."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _remove_folder(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)


def _bundles(folder: Path) -> list[str]:
    """The paths of the bundles in it, sorted."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError:
        return []
    return [f"{folder}/{name}" for name in names if name.endswith(".pem")]


def _contents(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    for path in paths:
        with contextlib.suppress(OSError):
            yield path, path.read_bytes()


@contextlib.contextmanager
def _failure(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperationalError(f"{what}: {error.strerror}.") from error
