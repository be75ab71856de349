"""What an ACME directory tells a preflight."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from letsencrypt.directory import DirectoryFacts, parse_identities, read_directory
from tests.ports import free_port
from tests.unit.letsencrypt.certificates import NOW

DIRECTORY = {"newOrder": "https://ca.net/order", "meta": {"caaIdentities": ["CA.net", 7]}}


@contextmanager
def answering(body: bytes, date: str) -> Iterator[str]:
    """A server with *body* at every address; the URL of one."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", date)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Same)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dir"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("body", "date", "facts"),
    [
        (
            json.dumps(DIRECTORY),
            "Mon, 01 Jun 2026 11:50:00 GMT",
            DirectoryFacts("", timedelta(minutes=10), ("ca.net",)),
        ),
        (json.dumps({"newOrder": "x"}), "yesterday", DirectoryFacts()),
        ("[" * 100_000, "", DirectoryFacts("what answers is no ACME directory (RecursionError)")),
        ("[]", "", DirectoryFacts("what answers is no ACME directory")),
        ("<html>", "", DirectoryFacts("what answers is no ACME directory (JSONDecodeError)")),
    ],
)
def test_a_directory_tells_time_and_names(body: str, date: str, facts: DirectoryFacts) -> None:
    """What is no directory is said to be none; a Date that cannot be read tells nothing."""
    with answering(body.encode(), date) as url:
        assert read_directory(url, lambda: NOW) == facts


def test_a_server_that_is_down_is_said_to_be() -> None:
    """In a few words, without what a library says of itself."""
    facts = read_directory(f"http://127.0.0.1:{free_port()}/dir", lambda: NOW)
    assert facts == DirectoryFacts("no connection comes about")


@pytest.mark.parametrize("document", [{}, {"meta": []}, {"meta": {"caaIdentities": "ca.net"}}])
def test_a_ca_may_say_nothing_of_caa(document: dict[str, object]) -> None:
    """Then nothing is known."""
    assert parse_identities(document) == ()
