"""proxy_agent.commands, beside a server of one answer a connection."""

from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, UnixStreamServer
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from proxy_agent.commands import Commands

LOCKED = "Can't create a certificate!\nOperations on certificates are currently locked!\n"

Ask = Callable[[int], tuple[str, list[float], list[str]]]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Asks a server that finds itself locked so often: the answer, the pauses and the commands that it took."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "admin.sock"
        answers: list[str] = []
        commands: list[str] = []

        class Answer(BaseRequestHandler):
            """The next one."""

            def handle(self) -> None:
                """One command."""
                commands.append(self.request.recv(1000).decode())
                self.request.sendall(answers.pop(0).encode())

        def asked(times: int) -> tuple[str, list[float], list[str]]:
            pauses: list[float] = []
            answers[:] = [*[LOCKED] * times, "Success!"]
            return Commands(path, 10, pauses.append).ask("new ssl cert a"), pauses, commands

        with UnixStreamServer(str(path), Answer) as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield asked
            server.shutdown()
            thread.join()


def test_a_command_that_finds_the_certificates_locked_is_given_again(ask: Ask) -> None:
    """Somebody lists them: that is no word about the one that is to be loaded."""
    answer, pauses, commands = ask(3)
    assert (answer, commands) == ("Success!", ["new ssl cert a\n"] * 4)
    assert pauses == sorted(pauses)
    assert sum(pauses) < 1


def test_a_lock_that_stays_is_as_good_as_no_answer(ask: Ask) -> None:
    """The next look tries again; nothing is refused for good because of it."""
    with pytest.raises(TimeoutError, match="locked"):
        ask(1000)
