"""Work that takes long is done aside, each piece in a thread of its own, while the loop goes on."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

RING = "a piece of work ended"
"""The reason of the ring that tells the loop to conclude."""


@dataclass(frozen=True)
class _Ended:
    """A piece of work, as it comes back."""

    conclude: Callable[[], None]
    error: BaseException | None = None


class Crew:
    """Threads that only work and ring: whatever is to be remembered or said is done in the loop's own thread."""

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._ended: SimpleQueue[_Ended] = SimpleQueue()

    def start(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Have *work* done aside; what it returns is handed to *then* by conclude(), and an exception raised there.

        Nobody is waited for at the end of the process.
        """

        def do() -> None:
            try:
                result = work()
                self._ended.put(_Ended(lambda: then(result)))
            except BaseException as error:  # noqa: BLE001 - raised again in the loop's thread
                self._ended.put(_Ended(lambda: None, error))
            self._ring(RING)

        threading.Thread(target=do, name="crew", daemon=True).start()

    def tell(self) -> None:
        """Ring for something that is worth a look, though no piece of work ended; from any thread."""
        self._ring(RING)

    def conclude(self, patience: float = 0.0) -> bool:
        """Conclude what ended, waiting for that at most *patience* seconds; whether anything did."""
        any_ended = False
        with contextlib.suppress(Empty):
            while True:
                ended = self._ended.get(timeout=patience) if patience and not any_ended else self._ended.get_nowait()
                any_ended = True
                if ended.error is not None:
                    raise ended.error
                ended.conclude()
        return any_ended
