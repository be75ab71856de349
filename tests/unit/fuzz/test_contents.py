"""Whatever lies in a file or comes over a socket: a value, or a reason, before long."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingMixIn, UnixStreamServer
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letsencrypt import (
    accounts,
    caa,
    certbot_seams,
    certonly,
    control,
    directory,
    manual,
    outbox,
    publish,
    renewal_file,
    resolver,
    revocation,
    runner,
    state,
    state_file,
)
from letsencrypt import wanted as letsencrypt_wanted
from proxy_agent import trials
from proxy_agent.certificates import Certificates, Found
from proxy_agent.containers import own_container_id
from proxy_agent.deployment import Deployment
from proxy_agent.perform import ConfigurationRefused
from proxy_agent.refusals import _lines_named
from proxy_agent.routing.render import CRT_LIST, MAPS, Configuration, identity_in
from proxy_agent.routing.wanted import Request, render_wanted
from proxy_agent.runtime import Runtime
from proxy_agent.session_tickets import SessionTickets
from proxy_agent.status import Status, read_status
from proxy_agent.surroundings import Surroundings
from proxy_agent.tls.bundle import parse_bundle
from tests.certificate_authority import CertificateAuthority
from tests.unit.agent.fakes import service
from tests.unit.fuzz.mangled import FEW, LONGEST, contents, is_survived, regressions

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ISSUED = CertificateAuthority(NOW).issue("a.test", "*.a.test", "192.0.2.1")
WANTED = render_wanted([Request(("a.test", "b.test"), ("shop",))])
STATE = state.format_state(state.State(version=1, directory="https://acme.example/directory"))
DNS_ANSWER = bytes.fromhex(
    "00078180000100010000000001610474657374000001000100000000c00c000100010000003c0004c0000201".replace(" ", "")
)
REPORT = (
    b'{"rc": 1, "class": "acme", "code": "rateLimited", "detail": "too many", "http": [{"status": 429,'
    b' "retry_after": "120"}], "fails": [{"identifier": "a.test", "type": "dns", "detail": "x"}], "ordered": true}'
)
STATUS = Status(cycle_at=NOW, stale_after=NOW, haproxy_running=True, containers_as_of=None).model_dump_json().encode()

REQUEST = b'{"names": ["a.test"], "for": ["issue"], "staging": true, "key": "ec-256"}'
WISH = control.Order(control.Verb("renew"), "a.test")
ACCOUNT = "accounts/acme.test/directory/1"
REVOCATION = revocation.Revocation(
    lineage="a.test",
    server="https://acme.test/directory",
    config="",
    pem=ISSUED.bundle_pem.decode(),
    reason=revocation.Reason.SUPERSEDED,
    asked=NOW,
    not_before=NOW,
).model_dump_json()
MOUNT = b"612 607 254:0 /var/lib/docker/containers/%s/hostname /etc/hostname rw - ext4 /dev/vda rw\n" % (b"0af1" * 16)
COMPLAINT = b"[NOTICE] (1) : haproxy version is 3.0.11\n[ALERT] (1) : parsing [/x/haproxy.cfg:2] : 'x' in 'shop'\n"


def in_a_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Has *read* look at a folder with a file of that name."""

    def parse(content: bytes) -> object:
        with TemporaryDirectory() as folder:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(content)
            return read(Path(folder))

    return parse


def certificates(folder: Path) -> Found:
    """What is found where every source is the same folder."""
    return Certificates(folder, folder, folder, folder / "self-signed.pem", folder / "wanted.json").found()


def parse_report(content: bytes) -> object:
    """What the issuer makes of what certbot's process wrote."""
    return runner.judge(content.decode(errors="replace"), "", 1, NOW)


def are_registered(folder: Path) -> bool:
    """Whether an account is there, beside whose file the two others are good."""
    for name in ("private_key.json", "regr.json", "meta.json"):
        file = folder / ACCOUNT / name
        if not file.exists():
            file.write_bytes(b"{}")
    return accounts.Accounts(folder, certonly.Directory("https://acme.test/directory")).are_registered


def complained(content: bytes) -> None:
    """What the agent makes of HAProxy's reasons for a refusal."""
    configuration = Configuration("1", b"backend shop\n    x\n", (), (), {}, {})
    _lines_named(ConfigurationRefused(configuration, content.decode(errors="replace"), by_check=True))


PARSERS: dict[str, tuple[Callable[[bytes], object], tuple[bytes, ...]]] = {
    "bundle": (lambda pem: parse_bundle("x", pem), (ISSUED.bundle_pem, ISSUED.leaf_pem, ISSUED.private_key_pem)),
    "custom certificate": (in_a_file("a.crt", certificates), (ISSUED.leaf_and_chain_pem,)),
    "issued certificate": (in_a_file("a.pem", certificates), (ISSUED.bundle_pem,)),
    "error page": (in_a_file("404.html", lambda f: Surroundings(f, f, None, False).inserts()), (b"<html></html>",)),
    "htpasswd": (in_a_file("a.test", lambda f: Surroundings(f, f, None, False).inserts()), (b"u:$apr1$x$y\n",)),
    "CA of clients": (
        in_a_file("ca", lambda f: Surroundings(f / "x", f / "x", f / "ca", False).inserts()),
        (ISSUED.chain_pem,),
    ),
    "remembered services": (
        in_a_file("services.json", lambda f: Deployment(f).remembered()),
        (json.dumps([{"name": "shop", "containers": []}]).encode(),),
    ),
    "keys of tickets": (in_a_file("keys", lambda f: SessionTickets(f / "keys").keys(NOW)), (b"[]",)),
    "status": (in_a_file("status.json", lambda f: read_status(f / "status.json")), (STATUS,)),
    "configuration": (identity_in, (b"    setenv COMPANION_CONFIGURATION abc\n",)),
    "wanted": (letsencrypt_wanted.parse_wanted, (WANTED,)),
    "state": (state.parse_state, (STATE,)),
    "report of certbot": (parse_report, (REPORT,)),
    "request of the operator": (lambda content: manual.parse_request(content.decode(errors="replace")), (REQUEST,)),
    "requests of the operator": (
        in_a_file(
            "issue.json", lambda f: manual.Commissions(f / "issue.json", (), certonly.parse_options("")).wishes()
        ),
        (WANTED,),
    ),
    "wish": (in_a_file("renew-1", lambda f: control.Control(f).take()), (b'["renew", "a.test", []]',)),
    "answer to a wish": (
        in_a_file(f"answers/{control._stem(WISH)}", lambda f: control.Control(f).last_answer(WISH)),
        (b'{"rc": 0, "text": "done"}',),
    ),
    "account": (in_a_file(f"{ACCOUNT}/regr.json", are_registered), (b"{}",)),
    "key of an account": (
        in_a_file(f"{ACCOUNT}/private_key.json", certbot_seams.know_keys),
        (b'{"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}',),
    ),
    "certbot's renewal file": (
        in_a_file("renewal/a.test.conf", lambda f: renewal_file.copy_renewal_file(f, "a.test", "b.test")),
        (b"version = 4\n[renewalparams]\nserver = https://a.test/\n[[webroot_map]]\na.test = /x\n",),
    ),
    "certbot's server": (
        in_a_file("renewal/a.test.conf", lambda f: renewal_file.server_of(f, "a.test")),
        (b"[renewalparams]\nserver = https://a.test/\n", b"renewalparams = 1\n"),
    ),
    "certbot's pair": (
        in_a_file("x.pem", lambda f: publish.read_pair("x", f / "x.pem", f / "x.pem")),
        (ISSUED.bundle_pem,),
    ),
    "news that wait": (
        in_a_file("1.json", lambda f: list(outbox.Outbox(f).due(NOW))),
        (b'{"body": {"text": "x"}, "attempts": 1}',),
    ),
    "revocation": (
        in_a_file(
            f"{state_file.STATE_FOLDER}/{revocation.REVOCATIONS}/a.json", lambda f: revocation.Revocations(f).all()
        ),
        (REVOCATION.encode(),),
    ),
    "raw lines in a file": (in_a_file("x", lambda f: trials._lines_of(f / "x")), (b"acl x path /\nuse_backend y\n",)),
    "mount points": (in_a_file("x", lambda f: own_container_id(f / "x")), (MOUNT,)),
    "complaints of HAProxy": (complained, (COMPLAINT,)),
    "DNS answer": (lambda content: resolver.parse_message(content, 7, resolver.RecordType.A), (DNS_ANSWER,)),
    "CAA record": (caa.parse_property, (b"\x00\x05issueletsencrypt.org; validationmethods=http-01",)),
    "CAA records": (lambda content: caa.objection([content], ["letsencrypt.org"]), (b"\x80\x05issueca.test;x=y",)),
}
FOUND: list[tuple[str, object]] = [
    *((name, b"[" * LONGEST) for name in ("wish", "account", "key of an account")),
    ("key of an account", b'{"kty": "EC"}'),
    ("certbot's server", b"[" * LONGEST),
]
"""What once broke a parser, with its name: tried first for ever."""

JSON = (
    *(
        "wanted",
        "state",
        "report of certbot",
        "remembered services",
        "keys of tickets",
        "status",
        "request of the operator",
    ),
    *("requests of the operator", "wish", "answer to a wish", "account", "key of an account", "news that wait"),
    "revocation",
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=FEW)
@given(data=st.data())
def test_a_parser_of_bytes_survives_anything(parser: str, data: st.DataObject) -> None:
    """It returns or says what is wrong; it neither fails in another way nor thinks for seconds."""
    parse, good = PARSERS[parser]
    is_survived(parse, data.draw(contents(*good)))


@pytest.mark.parametrize("parser", PARSERS)
def test_what_broke_a_parser_once_does_not_again(parser: str) -> None:
    """And what is good is taken, as is nothing at all."""
    parse, good = PARSERS[parser]
    for content in (*regressions(FOUND, parser), *good, b""):
        is_survived(parse, content)


@settings(max_examples=FEW)
@given(json_values)
def test_readers_of_json_survive_any_shape(value: Any) -> None:
    """What is well-formed need not be what was meant."""
    content = json.dumps(value).encode()
    for parser in JSON:
        is_survived(PARSERS[parser][0], content)
    is_survived(directory.parse_identities, {"meta": value})


@settings(max_examples=FEW)
@given(st.dictionaries(st.sampled_from(["caaIdentities", "x"]), json_values))
def test_identities_of_a_ca_are_names_or_none(meta: dict[str, Any]) -> None:
    """Whatever its directory says."""
    assert all(isinstance(name, str) for name in directory.parse_identities({"meta": meta}))


# HAProxy's runtime API


@contextmanager
def answering(content: bytes) -> Iterator[Path]:
    """A folder with both sockets, on which everything is answered alike."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(content)

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

    with TemporaryDirectory(prefix="hap-") as folder, Server(f"{folder}/admin.sock", Handler) as server:
        (Path(folder) / "master.sock").symlink_to("admin.sock")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield Path(folder)
        finally:
            server.shutdown()
            thread.join()


ANSWERS = (
    b"Pid: 20\n# filename\n/a.pem\n*/b.pem\nSHA1 FingerPrint: AB\n0x1 a b\n0.0 key\n",
    b"1\n# be_name srv_name srv_addr srv_admin_state srv_port\nshop shop-1 10.0.0.1 0 80\n/a.pem:1 [alpn h2] a.test\n",
    b"Success=1\n--\nNew version created: 3\nSuccess!",
)


@settings(max_examples=FEW)
@given(contents(*ANSWERS))
def test_the_runtime_api_may_answer_anything(content: bytes) -> None:
    """What cannot be understood is a refusal or nothing, and never the end of the agent."""
    with answering(content) as folder:
        runtime = Runtime(folder, CRT_LIST, MAPS)
        is_survived(runtime.running)
        is_survived(runtime.load_certificate, "/a.pem", ISSUED.bundle_pem)
        is_survived(runtime.replace_map, "maps/tls.map", {"a.test": "shop"})
        is_survived(runtime.add_server, "shop", "shop-1", "10.0.0.1:80 check")
        is_survived(runtime.remove_server, "shop", "shop-1")
        is_survived(runtime.add_ticket_key, "AAAA")
        is_survived(runtime.reload)


def test_whatever_else_is_mounted_a_container_finds_its_own_id() -> None:
    """A folder of the host may be called in no encoding at all."""
    with TemporaryDirectory() as folder:
        mounts = Path(folder) / "mountinfo"
        mounts.write_bytes(b"611 607 254:0 /srv/caf\xe9 /custom-certs ro - ext4 /dev/vda rw\n" + MOUNT)
        assert own_container_id(mounts) == "0af1" * 16


def test_what_a_deployment_remembers_is_what_it_was_given() -> None:
    """The seeds above are good ones."""
    with TemporaryDirectory() as folder:
        Deployment(Path(folder)).remember((service("shop", "a.test"),))
        assert Deployment(Path(folder)).remembered() == (service("shop", "a.test"),)
