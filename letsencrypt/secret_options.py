"""Options whose values nobody may read: certbot writes its whole command line into its log, which outlives the run."""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.daemon.files import write_whole

_SECRET = "--eab-hmac-key"
_LEAST_UNIQUE = len("--eab-hmac-k")
"""certbot takes an option's beginning for the option."""


@contextlib.contextmanager
def hidden(arguments: Sequence[str], folder: Path) -> Iterator[list[str]]:
    """*arguments* with the secret ones in a file instead, which only we can read and which is gone afterwards.

    The file is in *folder*, which should be in memory. Raises OperationalError if it cannot be written.
    """
    rest, secret = _parted(arguments)
    if not secret:
        yield rest
        return
    try:
        place = tempfile.TemporaryDirectory(prefix="options-", dir=folder)
    except OSError as error:
        raise OperationalError(f"Cannot write to {folder}: {error.strerror}.") from error
    with place as private:
        file = Path(private) / "certbot.ini"
        write_whole(file, f"{_SECRET.removeprefix('--')} = {secret}\n".encode())
        yield [*rest, "--config", str(file)]


def run_hidden(run: Callable[[Sequence[str]], Outcome], arguments: Sequence[str], folder: Path) -> Outcome:
    """What comes of *run* with *arguments* of which nobody can read the secret ones; a failure if that cannot be."""
    try:
        with hidden(arguments, folder) as command:
            return run(command)
    except OperationalError as error:
        return Outcome(Failure.STORAGE, str(error).removesuffix("."))


def _parted(arguments: Sequence[str]) -> tuple[list[str], str]:
    """*arguments* without the secret, and its value: the last one counts. What is no such key stays where it is."""
    rest: list[str] = []
    secret = ""
    remaining = iter(arguments)
    for word in remaining:
        name, equals, value = word.partition("=")
        is_secret = len(name) >= _LEAST_UNIQUE and _SECRET.startswith(name)
        if is_secret and not equals:
            value = next(remaining, "")
        if not is_secret:
            rest.append(word)
        elif re.fullmatch(r"[A-Za-z0-9_+/=.~-]+", value):
            secret = value
        else:
            # certbot says what is wrong with it, but not what it is.
            rest.append(f"{_SECRET}=")
    return rest, secret
