"""What one receiver has still to be told: a file for each item, on the volume until it was taken."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, NonNegativeInt, ValidationError

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import TEMPORARY_PREFIX, sync_folder, write_whole
from proxy_agent.daemon.moments import Moment

MOST = 100
"""Items that wait for one receiver; of more, the oldest go."""
KEPT = timedelta(days=7)
"""What is older is of no use to anybody."""
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (0.5, 1, 2, 5, 10, 20, 30, 60))
"""After the first, second, … time that an item was not taken; the last one repeats."""
_STAMP = "%Y%m%dT%H%M%S"
_TROUBLE = "trouble"


class Item(BaseModel):
    """The file. certbot_process.py writes such files, too."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    body: Mapping[str, JsonValue]
    attempts: NonNegativeInt = 0
    not_before: Moment = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Waiting:
    """One item and its place."""

    path: Path
    item: Item

    def __str__(self) -> str:
        told = self.item.body.get("text") or self.item.body.get("RENEWED_DOMAINS")
        return str(told or self.path.stem)


class Outbox:
    """The folder of one receiver; what is put in comes out until it is done, at least once, oldest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, known_by: str, body: Mapping[str, JsonValue], now: datetime, place: int = 0) -> None:
        """Keep *body*, unless what is *known_by* the same waits already; *place* orders items of the same second.

        Raises OperationalError.
        """
        known_by = hashlib.sha256(known_by.encode()).hexdigest()[:20]
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperationalError(f"Cannot make the folder {self.folder}: {error.strerror}.") from error
        if any(path.stem.endswith(f"-{known_by}") for path in self._paths()):
            return
        path = self.folder / f"{now.astimezone(UTC):{_STAMP}}-{place:06}-{known_by}.json"
        write_whole(path, Item(body=body).model_dump_json().encode())

    def overflow(self, now: datetime) -> list[str]:
        """Drop what is too much or too old; what that was."""
        paths = self._paths()
        oldest = f"{(now - KEPT).astimezone(UTC):{_STAMP}}"
        dropped = [path for place, path in enumerate(paths) if place < len(paths) - MOST or path.name < oldest]
        said = [_title(path) for path in dropped]
        for path in dropped:
            self.remove(path)
        return said

    def due(self, now: datetime) -> Iterator[Waiting]:
        """What may be sent now, oldest first; a clock that was set back puts nothing off for longer than meant."""
        for path in self._paths():
            try:
                item = _read(path)
            except ValueError:
                self.remove(path)
                continue
            if item is not None and (item.not_before <= now or item.not_before > now + 2 * PAUSES[-1]):
                yield Waiting(path, item)

    def begin(self, waiting: Waiting, now: datetime, random: Callable[[], float]) -> None:
        """Note that *waiting* is sent, before it is: if nobody comes back to say how that went, others are first.

        Raises OperationalError.
        """
        attempts = waiting.item.attempts + 1
        pause = PAUSES[min(attempts, len(PAUSES)) - 1] * (1 + 0.1 * random())
        item = waiting.item.model_copy(update={"attempts": attempts, "not_before": now + pause})
        write_whole(waiting.path, item.model_dump_json().encode())

    def remove(self, path: Path) -> None:
        """It was taken, or is given up."""
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            sync_folder(self.folder)

    @property
    def trouble(self) -> str:
        """Why the last item was not taken; empty if it was."""
        try:
            return (self.folder / _TROUBLE).read_text("utf-8")
        except (OSError, ValueError):
            return ""

    def tell_trouble(self, reason: str) -> None:
        """Remember *reason* for the next process, so that it is not said again."""
        with contextlib.suppress(OSError, OperationalError):
            if reason:
                write_whole(self.folder / _TROUBLE, reason.encode())
            else:
                (self.folder / _TROUBLE).unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.json") if not path.name.startswith(TEMPORARY_PREFIX))


def _read(path: Path) -> Item | None:
    """None where it cannot be read now; raises ValueError if it is of no use."""
    try:
        return Item.model_validate_json(path.read_bytes())
    except OSError:
        return None
    except ValidationError:
        raise ValueError(f"{path} is damaged") from None


def _title(path: Path) -> str:
    with contextlib.suppress(ValueError):
        if item := _read(path):
            return str(Waiting(path, item))
    return path.stem
