"""A certificate authority of the tests' own: Pebble, its DNS server, and the CA behind Pebble's own HTTPS."""

import datetime
import ipaddress
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store

from tests.certificate_authority import CertificateAuthority
from tests.ports import free_port
from tests.waiting import until

LOOPBACK = "127.0.0.1"
PROFILES = {  # Pebble picks one at random for whoever names none
    "classic": {"description": "90 days", "validityPeriod": 90 * 24 * 3600},
    "shortlived": {"description": "160 hours", "validityPeriod": 160 * 3600},
}


def accepts_connections(port: int) -> bool:
    """Whether somebody listens on *port*."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def daemon(
    command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run *command* for a while, its words going to *log*; it is stopped by its own process id."""
    with log.open("w") as words:
        process = subprocess.Popen(
            command, stdout=words, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(environ or {})}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Trust:
    """What makes Pebble's own HTTPS trusted: a root, and a certificate for loopback under it."""

    root: Path
    certificate: Path
    key: Path


def make_trust(folder: Path) -> Trust:
    """A CA and a certificate of it for loopback, as files in *folder*."""
    authority = CertificateAuthority()
    issued = authority.issue("localhost", LOOPBACK)
    trust = Trust(folder / "root.pem", folder / "pebble.pem", folder / "pebble.key")
    trust.root.write_bytes(authority.root_pem)
    trust.certificate.write_bytes(issued.leaf_and_chain_pem)
    trust.key.write_bytes(issued.private_key_pem)
    return trust


@dataclass(frozen=True)
class Dns:
    """pebble-challtestsrv: every name is at 127.0.0.1 unless a test says otherwise."""

    port: int
    management_port: int
    broken: set[str] = field(default_factory=set)

    def lead(self, name: str, address: str) -> None:
        """Answer with *address* for *name* from now on."""
        url = f"http://{LOOPBACK}:{self.management_port}/add-a"
        requests.post(url, json={"host": name, "addresses": [address]}, timeout=30).raise_for_status()

    def break_name(self, name: str) -> None:
        """Answer SERVFAIL for *name* from now on."""
        url = f"http://{LOOPBACK}:{self.management_port}/set-servfail"
        requests.post(url, json={"host": name}, timeout=30).raise_for_status()
        self.broken.add(name)

    def mend_all(self) -> None:
        """Answer for all names again."""
        while self.broken:
            self.mend_name(self.broken.pop())

    def mend_name(self, name: str) -> None:
        """Answer for *name* again."""
        url = f"http://{LOOPBACK}:{self.management_port}/clear-servfail"
        requests.post(url, json={"host": name}, timeout=30).raise_for_status()


@contextmanager
def run_dns(folder: Path) -> Iterator[Dns]:
    """A DNS server for Pebble."""
    dns = Dns(free_port(), free_port())
    off = [f"-{name}=" for name in ("http01", "https01", "tlsalpn01", "doh", "defaultIPv6")]
    addresses = [f"-dnsserver={LOOPBACK}:{dns.port}", f"-management={LOOPBACK}:{dns.management_port}"]
    command = ["pebble-challtestsrv", *off, *addresses, f"-defaultIPv4={LOOPBACK}"]
    with daemon(command, folder / "dns.log"):
        until(lambda: accepts_connections(dns.management_port), "the DNS server is up")
        yield dns


@dataclass(frozen=True)
class Authority:
    """One Pebble."""

    port: int
    management_port: int
    trust: Trust
    log: Path

    @property
    def directory(self) -> str:
        """Its directory URL."""
        return f"https://{LOOPBACK}:{self.port}/dir"

    @property
    def host(self) -> str:
        """Its name in log lines."""
        return f"{LOOPBACK}:{self.port}"

    def orders(self) -> int:
        """How many orders were placed so far; what was asked for and refused is none."""
        return self.log.read_text().count('Added order "')

    def refused_orders(self) -> int:
        """How many were asked for and not placed."""
        return self.log.read_text().count("POST /order-plz") - self.orders()

    def verify(self, pem: bytes, name: str) -> None:
        """Assert that a client that trusts this authority alone accepts *pem* for the host *name*."""
        root = x509.load_pem_x509_certificate(self._manage("GET", "roots/0").content)
        certificates = x509.load_pem_x509_certificates(pem)
        verifier = PolicyBuilder().store(Store([root])).build_server_verifier(_subject(name))
        verifier.verify(certificates[0], certificates[1:])

    def advise_renewal_now(self, pem: bytes) -> None:
        """Let its renewal information (RFC 9773) for the leaf of *pem* name a window that is over."""
        self.advise_renewal(pem, datetime.timedelta(days=-3))

    def advise_renewal(self, pem: bytes, begin: datetime.timedelta) -> None:
        """Let it name a window of a day that begins so long from now."""
        now = datetime.datetime.now(datetime.UTC) + begin
        start, end = (f"{now + datetime.timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (0, 1))
        self.answer_renewal_info(pem, json.dumps({"suggestedWindow": {"start": start, "end": end}}))

    def answer_renewal_info(self, pem: bytes, answer: str) -> None:
        """Let it give this *answer* to whoever asks when to renew the leaf of *pem*."""
        leaf = x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.PEM).decode()
        self._manage("POST", "set-renewal-info/", json={"certificate": leaf, "ariResponse": answer})

    def is_revoked(self, serial: int) -> bool:
        """Whether it holds the certificate with this *serial* for revoked."""
        answer = self._manage("GET", f"cert-status-by-serial/{serial:x}").json()
        return bool(answer["Status"] == "Revoked")

    def _manage(self, method: str, path: str, **more: Any) -> requests.Response:
        url = f"https://{LOOPBACK}:{self.management_port}/{path}"
        response = requests.request(method, url, verify=str(self.trust.root), timeout=30, **more)
        response.raise_for_status()
        return response


def _subject(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authorities:
    """Starts Pebbles that share DNS, trust and the port on which challenges are fetched."""

    def __init__(self, folder: Path, trust: Trust, dns: Dns, challenge_port: int, stack: ExitStack) -> None:
        self._folder = folder
        self._trust = trust
        self._dns = dns
        self._challenge_port = challenge_port
        self._stack = stack

    def start(self, port: int | None = None, rejected_nonces: int = 0, **pebble: Any) -> Authority:
        """One more authority, on *port* if that is given, configured further by *pebble*.

        It rejects so many good nonces in a hundred.
        """
        port = port or free_port()
        authority = Authority(port, free_port(), self._trust, self._folder / f"pebble-{port}.log")
        config = self._folder / f"pebble-{port}.json"
        config.write_text(json.dumps({"pebble": {**self._config(authority), **pebble}}))
        chaos_off = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(rejected_nonces), "PEBBLE_AUTHZREUSE": "0"}
        command = ["pebble", "-config", str(config), "-dnsserver", f"{LOOPBACK}:{self._dns.port}"]
        self._stack.enter_context(daemon(command, authority.log, chaos_off))
        until(lambda: all(map(accepts_connections, (port, authority.management_port))), "Pebble is up")
        return authority

    def _config(self, authority: Authority) -> dict[str, Any]:
        return {
            "listenAddress": f"{LOOPBACK}:{authority.port}",
            "managementListenAddress": f"{LOOPBACK}:{authority.management_port}",
            "certificate": str(self._trust.certificate),
            "privateKey": str(self._trust.key),
            "httpPort": self._challenge_port,
            "tlsPort": 1,
            "externalAccountBindingRequired": False,
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": PROFILES,
        }
