"""A DNS server of the tests' own, on UDP and TCP of one port of 127.0.0.1."""

import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Zone = Callable[[str, int], "Answer"]
"""The answer to a name and a record type."""


class Answer:
    """What it says to one question."""

    def __init__(self, *records: bytes, rcode: int = 0, truncated: bool = False, silent: bool = False) -> None:
        self.records = records
        self.rcode = rcode
        self.truncated = truncated
        self.silent = silent


def name_in(query: bytes) -> tuple[str, int, int]:
    """The name and the type of a question, and where it ends."""
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode())
        position += 1 + length
    return ".".join(labels), struct.unpack_from(">H", query, position + 1)[0], position + 5


def response(query: bytes, answer: Answer, by_tcp: bool) -> bytes:
    """The message with *answer*; where it is truncated, the records come by TCP only."""
    _, record_type, end = name_in(query)
    records = () if answer.truncated and not by_tcp else answer.records
    flags = 0x8180 | answer.rcode | (0x0200 if answer.truncated and not by_tcp else 0)
    alias = b"\xc0\x0c" + struct.pack(">2HIH", 5, 1, 60, 2) + b"\xc0\x0c"  # a CNAME comes first
    body = b"".join(b"\xc0\x0c" + struct.pack(">2HIH", record_type, 1, 60, len(r)) + r for r in records)
    head = query[:2] + struct.pack(">5H", flags, 1, 1 + len(records), 0, 0)
    return head + query[12:end] + alias + body


@contextmanager
def dns_server(zone: Zone) -> Iterator[int]:
    """Runs for a while; its port."""

    class ByUdp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, connection = self.request
            name, record_type, _ = name_in(query)
            answer = zone(name, record_type)
            if not answer.silent:
                connection.sendto(response(query, answer, by_tcp=False), self.client_address)

    class ByTcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack(">H", self.rfile.read(2))
            query = self.rfile.read(length)
            name, record_type, _ = name_in(query)
            content = response(query, zone(name, record_type), by_tcp=True)
            self.wfile.write(struct.pack(">H", len(content)) + content)

    by_tcp = socketserver.TCPServer(("127.0.0.1", 0), ByTcp)
    port: int = by_tcp.server_address[1]
    servers: list[Any] = [by_tcp, socketserver.UDPServer(("127.0.0.1", port), ByUdp)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield port
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
