"""The state of one ACME directory on the volume, beside certbot's own folders, and a journal for each run under way."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from letsencrypt.certonly import Directory
from letsencrypt.state import Interrupted, State, format_state, parse_state
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import sync_folder, write_whole

STATE_FOLDER = "state"
"""Below the volume's root; certbot has no folder of this name."""
_PRODUCTION = "production"
ORDERED, FINALIZED = "ordered", "finalized"
"""The words that certbot_process.py adds to a journal before it does what they say."""
_KEPT = timedelta(days=7)
"""As long as the longest limit: what was set aside counts until then."""
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_LARGEST = 64 * 1024 * 1024


def state_folder(directory: Directory, root: Path) -> Path:
    """Where the state of *directory* is, below the volume's *root*."""
    config = directory.config_folder(root)
    return root / STATE_FOLDER / (_PRODUCTION if config == root else config.name)


def config_of(folder: Path, root: Path) -> Path:
    """Where certbot keeps what belongs to the state in *folder*: the way back of state_folder()."""
    return root if folder.name == _PRODUCTION else root / "directories" / folder.name


def let_go(root: Path) -> None:
    """Write into every state that nothing is wanted: whoever goes on with it will say what is.

    Without that, a server that the settings no longer name would seem to be at work for ever. What cannot be read
    or written stays as it is, for the one who needs it.
    """
    for path in root.glob(f"{STATE_FOLDER}/*/state.json"):
        with contextlib.suppress(OSError, ValueError, OperationalError):
            state = parse_state(path.read_bytes())
            idle = {name: record.model_copy(update={"wanted": False}) for name, record in state.lineages.items()}
            StateFile(path.parent).save(state.model_copy(update={"lineages": idle}))


class StateFile:
    """``state.json`` and ``NAME.run`` for each run that has not ended, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "state.json"
        self._saved = b""

    def load(self, now: datetime) -> tuple[State | None, str]:
        """What was saved, None if nothing ever was or it is of no use; and a sentence if that was set aside.

        Raises OperationalError if it can be neither read nor set aside.
        """
        try:
            with self._path.open("rb") as file:
                self._saved = file.read(_LARGEST)
            return parse_state(self._saved), ""
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            fault = error.strerror or "it cannot be read"
        except ValueError as error:
            fault = str(error)
        self._saved = b""
        place = self._path.with_name(f"damaged-{now.astimezone(UTC).strftime(_STAMP)}.json")
        try:
            self._path.replace(place)
        except OSError as error:
            raise OperationalError(f"{self._path} cannot be used, nor set aside: {error.strerror}.") from error
        return None, (
            f"{self._path} cannot be used ({fault}) and was moved to {place}: "
            "half of every limit is taken for spent, and all that fails waits a little."
        )

    def lost(self, now: datetime) -> tuple[datetime, ...]:
        """When a state was set aside, as long as that counts; what is older is removed."""
        moments: list[datetime] = []
        for path in sorted(self._folder.glob("damaged-*.json")):
            try:
                stamp = path.name.removeprefix("damaged-").removesuffix(".json")
                moment = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            except ValueError:
                continue
            if moment + _KEPT > now:
                moments.append(moment)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        return tuple(moments)

    def save(self, state: State) -> None:
        """Write *state* if it is another than the file holds; raises OperationalError, and the old one stays."""
        content = format_state(state)
        if content == self._saved and self._path.exists():
            return
        self._make_folder()
        write_whole(self._path, content)
        self._saved = content

    def begin(self, name: str, now: datetime) -> Path:
        """The journal of a run for the lineage *name* that begins now; raises OperationalError if there can be none."""
        self._make_folder()
        journal = self._journal(name)
        write_whole(journal, f"{now.isoformat()}\n".encode())
        return journal

    def end(self, name: str) -> None:
        """The run's end is part of what was saved, so its journal may go."""
        with contextlib.suppress(OSError):
            self._journal(name).unlink()
            sync_folder(self._folder)

    def interrupted(self, now: datetime) -> dict[str, Interrupted]:
        """The runs of which only a journal is left, by lineage; what is not known of one is taken for the worst."""
        found = {}
        for path in sorted(self._folder.glob("*.run")):
            try:
                begun, *words = path.read_text("utf-8").split()
                moment = min(datetime.fromisoformat(begun), now)
            except (OSError, ValueError, TypeError):
                moment, words = now, [ORDERED, FINALIZED]
            found[path.stem] = Interrupted(moment, ORDERED in words, FINALIZED in words)
        return found

    def _journal(self, name: str) -> Path:
        return self._folder / f"{name}.run"

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperationalError(f"Cannot make the folder {self._folder}: {error.strerror}.") from error
