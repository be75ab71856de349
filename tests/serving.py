"""Servers of the tests: none looks a hundred times a second whether it is to end, and each ends at once."""

import selectors
import socket
import threading
from collections.abc import Callable
from socketserver import TCPServer


def start(server: TCPServer) -> Callable[[], None]:
    """Have *server* answer in a thread, and return what ends it; where nobody does, it lasts as long as the process."""
    server.timeout = 0
    told, end = socket.socketpair()

    def serve() -> None:
        with server, told, end, selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            selector.register(told, selectors.EVENT_READ)
            while told not in {key.fileobj for key, _ in selector.select()}:
                server.handle_request()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def stop() -> None:
        end.shutdown(socket.SHUT_RDWR)
        thread.join()

    return stop
