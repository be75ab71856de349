"""What the volumes say of all certificates at one moment; the loop need not run."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from letsencrypt.events import Certificate, Directory, Seen, Snapshot
from letsencrypt.publish import is_held
from letsencrypt.state import Record, State, parse_state
from letsencrypt.state_file import STATE_FOLDER, config_of
from proxy_agent.tls.bundle import parse_bundle

_Stamp = tuple[int, int, int]


class Volumes:
    """The state files and the published bundles; a bundle that did not change is read once."""

    def __init__(self, root: Path, certs_folder: Path) -> None:
        self._root = root
        self._certs = certs_folder
        self._read: dict[Path, tuple[_Stamp, Certificate]] = {}

    def look(self) -> Snapshot:
        """What is there now; what cannot be read is left out, and the snapshot is not complete then. Never raises."""
        states: dict[str, State] = {}
        complete = True
        for path in sorted(self._root.glob(f"{STATE_FOLDER}/*/state.json")):
            try:
                states[path.parent.name] = parse_state(path.read_bytes())
            except (OSError, ValueError):
                complete = False
        certificates = dict(self._published())
        return Snapshot(
            seen=tuple(self._wanted(states)),
            directories={key: Directory(state.directory, state.standing) for key, state in states.items()},
            certificates=certificates,
            known=frozenset(name for state in states.values() for name in state.lineages),
            complete=complete and len(certificates) == len(self._read),
        )

    def _wanted(self, states: Mapping[str, State]) -> Iterator[Seen]:
        """Each lineage once: where several servers are asked for it, as the one left it whose certificate is served.

        If that is none of them, the one that was asked last.
        """
        found: dict[str, list[tuple[str, Record]]] = defaultdict(list)
        for key, state in states.items():
            for name, record in state.lineages.items():
                if record.wanted:
                    found[name].append((key, record))
        for name, records in found.items():
            key, record = records[0] if len(records) == 1 else self._serving(name, records)
            yield Seen(name, record.names, key, record.standing, str(self._config(key) / "live" / name))

    def _serving(self, name: str, records: Iterable[tuple[str, Record]]) -> tuple[str, Record]:
        published = b""
        with contextlib.suppress(OSError):
            published = (self._certs / f"{name}.pem").read_bytes()
        return min(records, key=lambda each: (not is_held(self._config(each[0]), name, published), _age(each[1])))

    def _config(self, key: str) -> Path:
        return config_of(self._root / STATE_FOLDER / key, self._root)

    def _published(self) -> Iterator[tuple[str, Certificate]]:
        present = {path: _stamp(path) for path in sorted(self._certs.glob("[!.]*.pem"))}
        self._read = {path: known for path, known in self._read.items() if path in present}
        for path, stamp in present.items():
            known = self._read.get(path)
            if stamp is not None and (known is None or known[0] != stamp):
                known = _certificate(path, stamp)
            if known is not None:
                self._read[path] = known
                yield path.stem, known[1]


def _age(record: Record) -> float:
    """The smaller, the later it was tried."""
    return -record.last_run.timestamp() if record.last_run else 0.0


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _certificate(path: Path, stamp: _Stamp) -> tuple[_Stamp, Certificate] | None:
    try:
        bundle = parse_bundle(path.stem, path.read_bytes())
    except (OSError, ValueError):
        return None
    names = tuple(sorted(str(identifier) for identifier in bundle.identifiers))
    return stamp, Certificate(bundle.fingerprint, names, bundle.not_before, bundle.not_after)
