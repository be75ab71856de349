"""What dockercloud/haproxy 1.6 answered, case by case, held against a real HAProxy with the real agent beside it."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy_agent.routing.model import Service
from tests.certificate_authority import CertificateAuthority
from tests.haproxy.origin import Origin, serving
from tests.haproxy.proxy import Proxy, proxy_in_a_folder, reserved_port
from tests.haproxy.worlds import service_with

pytestmark = pytest.mark.haproxy

Case = Mapping[str, Any]

CASES: list[Case] = [
    json.loads(line) for line in (Path(__file__).parent / "virtual-host-routing.jsonl").read_text().splitlines()
]

DEVIATIONS: Mapping[str, tuple[Mapping[str, Any], str]] = {}
"""What we answer instead, and the rule that decides, by the case's id."""

FURTHER_PORT = 90
"""The one port beside 80 and 443 that cases name; here it is whichever is free."""


class Compared:
    """One proxy that all cases take turns with, and an origin for each name that a service has in them."""

    def __init__(self, proxy: Proxy, origins: Mapping[str, Origin], further_port: int) -> None:
        self._proxy = proxy
        self._origins = origins
        self._ports = {80: proxy.settings.http_port, 443: proxy.settings.https_port, FURTHER_PORT: further_port}

    def answer(self, case: Case) -> Mapping[str, Any]:
        """What this proxy answers to the request of *case*, in the words of the cases."""
        self._proxy.serve(*(self._service(name, told) for name, told in case["services"].items()))
        self._proxy.look_until_calm()
        with self._connection(case) as connection:
            connection.sendall(self._request(case))
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = received.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        return {"service": json.loads(body)["origin"]} if status == 200 else {"status": status}

    def _service(self, name: str, environment: Mapping[str, str]) -> Service:
        told = {key: self._moved(value) for key, value in environment.items()}
        return service_with(name, self._origins[name].port, **told)

    def _moved(self, text: str) -> str:
        return text.replace(f":{FURTHER_PORT}", f":{self._ports[FURTHER_PORT]}")

    @contextmanager
    def _connection(self, case: Case) -> Iterator[socket.socket]:
        if case["scheme"] == "https":
            with self._proxy.handshake(case["host"].partition(":")[0], trusted=False) as tls:
                yield tls
        else:
            with socket.create_connection(("127.0.0.1", self._ports[case["port"]]), timeout=10) as plain:
                yield plain

    def _request(self, case: Case) -> bytes:
        if case["host"] is None:
            return str(case["path"]).encode()
        host = self._moved(case["host"])
        return f"GET {case['path']} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


@pytest.fixture(scope="module")
def compared() -> Iterator[Compared]:
    """A running proxy, and the origins behind it."""
    with ExitStack() as stack:
        proxy = stack.enter_context(proxy_in_a_folder(CertificateAuthority()))
        names = sorted({name for case in CASES for name in case["services"]})
        origins = {name: stack.enter_context(serving(name)) for name in names}
        port = stack.enter_context(reserved_port())
        proxy.agent.prepare()
        proxy.start()
        yield Compared(proxy, origins, port)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_requests_go_where_they_went_before(compared: Compared, case: Case) -> None:
    """Whoever comes from dockercloud/haproxy finds each request answered as there, or the rule that changed it."""
    expected, _ = DEVIATIONS.get(case["id"], (case["answer"], ""))
    assert compared.answer(case) == expected


def test_deviations_deviate() -> None:
    """Each names a case, gives a reason, and is needed."""
    answers = {case["id"]: case["answer"] for case in CASES}
    assert all(reason and answer != answers[case] for case, (answer, reason) in DEVIATIONS.items())
