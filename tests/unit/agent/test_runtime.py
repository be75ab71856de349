"""proxy_agent.runtime, against a server that answers word for word what HAProxy 3.0.11 answers."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingMixIn, UnixStreamServer

import pytest

from proxy_agent.daemon.errors import OperationalError
from proxy_agent.routing.model import ServerState
from proxy_agent.routing.render import CRT_LIST, MAPS, PLAIN_MAP, TLS_MAP
from proxy_agent.runtime import CrtListLine, Running, Runtime, RuntimeRefusal, RuntimeUnreachable
from proxy_agent.server_states import RunningServer

A, DEFAULT = "/state/certificates/issued/a.pem", "/state/default.pem"
PEM = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

SHOW_CERTIFICATE = """\
Filename: {path}
Status: Used
Serial: 7F485FCBEBFECF17D90E3D38B81956A5E208DBBA
notBefore: Oct 18 01:16:40 2025 GMT
notAfter: Feb 20 01:16:40 2027 GMT
Subject Alternative Name: DNS:a.test, DNS:*.a.test
Algorithm: EC256
SHA1 FingerPrint: {fingerprint}
Subject:\x20
Issuer: /CN=Test Intermediate
Chain Subject: /CN=Test Intermediate
Chain Issuer: /CN=Test Root
OCSP Response Key:\x20

"""
QUIET = {
    "show info": "Name: HAProxy\nVersion: 3.0.11-1+deb13u5\nProcess_num: 1\nPid: 20\nUptime: 0d 0h00m00s\n\n",
    "show env COMPANION_CONFIGURATION": "COMPANION_CONFIGURATION=e3393d64765d43ad\n\n",
    "show ssl cert": f"# filename\n{A}\n{DEFAULT}\n\n",
    f"show ssl cert {A}": SHOW_CERTIFICATE.format(path=A, fingerprint="09FD4AC0"),
    f"show ssl cert {DEFAULT}": SHOW_CERTIFICATE.format(path=DEFAULT, fingerprint="40A42280"),
    "show ssl crt-list -n crt.list": f"# crt.list\n{A}:1 *.a.test a.test\n{A}:2 b.test\n\n",
    "show map maps/plain.map": "0x7fb4225d2c00 a.test shop-8d9001d3\n0x7fb4225d2c80 [2001:db8::1] shop-8d9001d3\n\n",
    "show map maps/redirect.map": "0x7fb4225d2d00 a.test https\n\n",
    "show map maps/tls.map": "\n",
    "show servers state": "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n"
    "2 letsencrypt 1 letsencrypt - 0 32 80\n"
    "3 shop 1 shop-1 10.0.0.1 2 0 8000\n3 shop 2 shop-2 2001:db8::1 2 0 8000\n\n",
}
"""Answers of a worker at rest, by command."""


class HAProxy:
    """Both sockets: what they were sent, one entry for each connection, and what they answer."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers
        self.unblocked: dict[str, dict[str, str]] = {}
        """Further answers, from the time that a command was sent."""
        self.sent: list[str] = []

    def answer(self, request: str) -> str:
        """The answer to a command, whatever its payload; none given means an empty line."""
        self.sent.append(request)
        commands = request.partition("<<")[0].strip().split(";")
        for command in commands:
            self.answers |= self.unblocked.get(command, {})
        return "".join(self.answers.get(command, "\n") for command in commands)

    @property
    def changes(self) -> list[str]:
        """The commands that were sent, but for questions."""
        return [request for request in self.sent if not request.startswith("show")]


class _Handler(BaseRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        """Read a command with its payload, answer, hang up."""
        request = b""
        while not request.endswith(b"\n\n" if b"<<" in request else b"\n"):
            received = self.request.recv(4096)
            if not received:
                return
            request += received
        self.request.sendall(self.server.haproxy.answer(request.decode()).encode())


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, haproxy: HAProxy) -> None:
        self.haproxy = haproxy
        super().__init__(str(path), _Handler)


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[HAProxy]:
    """A worker at rest, and its master."""
    answering = HAProxy(dict(QUIET))
    servers = [_Server(tmp_path / name, answering) for name in ("admin.sock", "master.sock")]
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in servers]
    for thread in threads:
        thread.start()
    yield answering
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """The edge that is tested."""
    return Runtime(tmp_path, CRT_LIST, MAPS)


# What it holds


@pytest.mark.usefixtures("haproxy")
def test_what_a_worker_holds_is_read_from_its_own_words(runtime: Runtime) -> None:
    """Its process, its configuration, its certificates with their fingerprints, its lists and maps."""
    assert runtime.running() == Running(
        worker=20,
        configuration="e3393d64765d43ad",
        certificates={A: "09FD4AC0", DEFAULT: "40A42280"},
        crt_list=(CrtListLine(A, 1, ("*.a.test", "a.test")), CrtListLine(A, 2, ("b.test",))),
        maps={
            "maps/plain-paths.map": {},
            "maps/plain.map": {"a.test": "shop-8d9001d3", "[2001:db8::1]": "shop-8d9001d3"},
            "maps/redirect.map": {"a.test": "https"},
            "maps/tls-paths.map": {},
            "maps/tls.map": {},
        },
        servers={
            "letsencrypt": {"letsencrypt": RunningServer("-", 80)},
            "shop": {"shop-1": RunningServer("10.0.0.1", 8000), "shop-2": RunningServer("2001:db8::1", 8000)},
        },
    )


def test_a_certificate_that_is_being_changed_is_not_two(runtime: Runtime, haproxy: HAProxy) -> None:
    """The list of files begins with an open transaction, if there is one."""
    haproxy.answers["show ssl cert"] = f"# transaction\n*{A}\n# filename\n{A}\n\n"
    running = runtime.running()
    assert running
    assert running.certificates == {A: "09FD4AC0"}


def test_an_empty_store_has_no_fingerprint(runtime: Runtime, haproxy: HAProxy) -> None:
    """It was announced and never filled: it equals no bundle."""
    haproxy.answers[f"show ssl cert {A}"] = f"Filename: {A}\nStatus: Empty\n\n"
    running = runtime.running()
    assert running
    assert running.certificates[A] == ""


def test_a_store_that_was_empty_is_looked_at_again(runtime: Runtime, haproxy: HAProxy) -> None:
    """It is so for a moment, between two commands of whoever fills it."""
    filled = haproxy.answers[f"show ssl cert {A}"]
    haproxy.answers[f"show ssl cert {A}"] = f"Filename: {A}\nStatus: Empty\n\n"
    crowd = [f"/state/certificates/issued/{number:03}.pem" for number in range(150)]
    haproxy.answers["show ssl cert"] = "\n".join(["# filename", A, *crowd, "", ""])
    assert fingerprints(runtime)[A] == ""
    haproxy.answers[f"show ssl cert {A}"] = filled
    assert fingerprints(runtime)[A] == "09FD4AC0"


MANY = [f"/state/certificates/issued/{number:03}.pem" for number in range(250)]


@pytest.fixture
def crowded(haproxy: HAProxy, runtime: Runtime) -> HAProxy:
    """A worker with many certificates, which was asked for all of them once."""
    haproxy.answers["show ssl cert"] = "\n".join(["# filename", *MANY, "", ""])
    haproxy.answers |= {f"show ssl cert {path}": SHOW_CERTIFICATE.format(path=path, fingerprint="A1") for path in MANY}
    assert fingerprints(runtime) == dict.fromkeys(MANY, "A1")
    haproxy.sent.clear()
    return haproxy


def fingerprints(runtime: Runtime) -> Mapping[str, str]:
    """What a look shows."""
    running = runtime.running()
    assert running
    return running.certificates


def asked_for(haproxy: HAProxy) -> list[str]:
    """The certificates that were asked for one by one."""
    questions = [question for request in haproxy.sent for question in request.strip().split(";")]
    return [path for question in questions if (path := question.partition("show ssl cert ")[2])]


def test_of_many_certificates_some_are_looked_at_again(crowded: HAProxy, runtime: Runtime) -> None:
    """A question for each takes seconds with thousands. Whoever changes one past us is found out some looks later."""
    crowded.answers[f"show ssl cert {MANY[201]}"] = SHOW_CERTIFICATE.format(path=MANY[201], fingerprint="B2")
    seen = [fingerprints(runtime)[MANY[201]] for _ in range(3)]
    assert sorted(asked_for(crowded)) == MANY
    assert seen == ["A1", "B2", "B2"]


def test_many_questions_are_asked_at_once(crowded: HAProxy, runtime: Runtime) -> None:
    """A connection for each takes longer than the answer; a line of them fits into HAProxy's buffer."""
    crowded.answers["show info"] = QUIET["show info"].replace("Pid: 20", "Pid: 21")
    fingerprints(runtime)
    lines = [request for request in crowded.sent if request.startswith("show ssl cert /")]
    assert len(lines) == 5
    assert max(map(len, lines)) < 16_000


def test_a_new_worker_is_asked_for_all_its_certificates(crowded: HAProxy, runtime: Runtime) -> None:
    """What another one held says nothing of it."""
    crowded.answers["show info"] = QUIET["show info"].replace("Pid: 20", "Pid: 21")
    fingerprints(runtime)
    assert len(asked_for(crowded)) == 250


def test_what_we_changed_ourselves_is_looked_at_again(crowded: HAProxy, runtime: Runtime) -> None:
    """Be it that HAProxy refused it; and what is gone is known no more."""
    with pytest.raises(RuntimeRefusal):
        runtime.load_certificate(MANY[240], PEM)
    crowded.answers[f"del ssl cert {MANY[241]}"] = f"Certificate '{MANY[241]}' deleted!\n"
    runtime.unload_certificate(MANY[241])
    crowded.sent.clear()
    fingerprints(runtime)
    assert set(MANY[240:242]) <= set(asked_for(crowded))


def test_options_in_a_line_of_the_list_are_no_names(runtime: Runtime, haproxy: HAProxy) -> None:
    """Nor is a line without names a name."""
    haproxy.answers["show ssl crt-list -n crt.list"] = f"# crt.list\n{A}:3 [alpn h2] a.test\n{A}:4\n\n"
    running = runtime.running()
    assert running
    assert running.crt_list == (CrtListLine(A, 3, ("a.test",), "alpn h2"), CrtListLine(A, 4, ()))


def test_a_worker_that_is_not_ours_has_no_configuration(runtime: Runtime, haproxy: HAProxy) -> None:
    """It was started on something else, and will be reloaded."""
    haproxy.answers["show env COMPANION_CONFIGURATION"] = "Variable not found\n\n"
    running = runtime.running()
    assert running
    assert running.configuration == ""


def test_without_haproxy_there_is_nothing(runtime: Runtime) -> None:
    """No socket yet: it has not started."""
    assert runtime.running() is None


@pytest.mark.usefixtures("haproxy")
def test_a_dead_haproxy_is_nothing_too(runtime: Runtime, tmp_path: Path) -> None:
    """Its socket files outlive it."""
    for name in ("admin.sock", "master.sock"):
        server = UnixStreamServer(str(tmp_path / f"dead-{name}"), BaseRequestHandler)
        server.server_close()
        (tmp_path / f"dead-{name}").replace(tmp_path / name)
    assert runtime.running() is None
    with pytest.raises(RuntimeUnreachable, match=r"does not answer on its runtime socket: .*Connection refused"):
        runtime.unload_certificate(A)


# Certificates


def load_answers(path: str) -> dict[str, str]:
    """What a load that goes well is answered."""
    return {
        f"new ssl cert {path}": f"New empty certificate store '{path}'!\n\n",
        f"set ssl cert {path}": f"Transaction created for certificate {path}!\n\n",
        f"commit ssl cert {path}": f"Committing {path}.\nSuccess!\n\n",
    }


def test_a_renewed_certificate_is_set_and_committed(runtime: Runtime, haproxy: HAProxy) -> None:
    """One connection for each command; the payload ends at an empty line."""
    haproxy.answers |= load_answers(A)
    runtime.running()
    runtime.load_certificate(A, PEM)
    assert haproxy.changes == [f"set ssl cert {A} <<\n{PEM.decode()}\n", f"commit ssl cert {A}\n"]


def test_a_new_certificate_is_announced_first(runtime: Runtime, haproxy: HAProxy) -> None:
    """HAProxy replaces only what it knows."""
    haproxy.answers |= load_answers("/new.pem")
    runtime.load_certificate("/new.pem", PEM)
    assert haproxy.changes[0] == "new ssl cert /new.pem\n"
    assert len(haproxy.changes) == 3


def test_a_transaction_that_a_dead_writer_left_open_is_aborted(runtime: Runtime, haproxy: HAProxy) -> None:
    """There is one transaction in a process, and it blocks all others."""
    blocked = f"The ongoing transaction is about '{DEFAULT}' but you are trying to set '{A}'\n\n"
    haproxy.answers |= load_answers(A) | {"show ssl cert": f"# transaction\n*{DEFAULT}\n# filename\n{A}\n{DEFAULT}\n\n"}
    haproxy.answers[f"set ssl cert {A}"] = blocked
    haproxy.unblocked = {f"abort ssl cert {DEFAULT}": load_answers(A)}
    runtime.running()
    runtime.load_certificate(A, PEM)
    assert [request.partition(" <<")[0].strip() for request in haproxy.changes] == [
        f"set ssl cert {A}",
        f"abort ssl cert {DEFAULT}",
        f"set ssl cert {A}",
        f"commit ssl cert {A}",
    ]


def test_one_that_a_former_worker_had_is_announced_after_all(runtime: Runtime, haproxy: HAProxy) -> None:
    """What a worker holds may be gone with it between the look and the change."""
    runtime.running()
    haproxy.answers |= load_answers(A) | {"show ssl cert": f"# filename\n{DEFAULT}\n\n"}
    haproxy.answers[f"set ssl cert {A}"] = "Can't replace a certificate which is not referenced by the configuration!\n"
    haproxy.unblocked = {f"new ssl cert {A}": load_answers(A)}
    runtime.load_certificate(A, PEM)
    assert haproxy.changes[-1] == f"commit ssl cert {A}\n"


def test_a_certificate_that_does_not_load_is_refused_in_haproxys_words(runtime: Runtime, haproxy: HAProxy) -> None:
    """Nothing is committed."""
    haproxy.answers[f"set ssl cert {A}"] = f"unable to load certificate from file '{A}': no start line.\n\n"
    with pytest.raises(RuntimeRefusal, match="no start line"):
        runtime.load_certificate(A, PEM)
    assert not [request for request in haproxy.changes if request.startswith("commit")]


def test_a_commit_that_fails_is_aborted(runtime: Runtime, haproxy: HAProxy) -> None:
    """The old certificate stays live, and the next one is not blocked."""
    refusal = f"Committing {A}.\nunable to load SSL certificate into SSL Context '{A}': ee key too small.\nFailed!\n\n"
    haproxy.answers |= load_answers(A) | {f"commit ssl cert {A}": refusal}
    with pytest.raises(RuntimeRefusal, match="ee key too small"):
        runtime.load_certificate(A, PEM)
    assert haproxy.changes[-1] == f"abort ssl cert {A}\n"


def test_no_key_stands_in_a_refusal(runtime: Runtime, haproxy: HAProxy) -> None:
    """Of a command only its first line is quoted: the rest is a private key."""
    haproxy.answers[f"set ssl cert {A}"] = "no\n"
    with pytest.raises(RuntimeRefusal) as refused:
        runtime.load_certificate(A, PEM)
    assert "PRIVATE KEY" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        (f"Certificate '{A}' deleted!\n\n", True),
        (f"Can't remove the certificate: certificate '{A}' in use, can't be deleted!\n\n", False),
        ("", False),
    ],
)
def test_unloading_is_known_by_its_words(runtime: Runtime, haproxy: HAProxy, answer: str, accepted: bool) -> None:
    """There is no exit code."""
    haproxy.answers[f"del ssl cert {A}"] = answer
    assert accepts(lambda: runtime.unload_certificate(A)) is accepted


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        (f"Inserting certificate '{A}' in crt-list 'crt.list'.\nSuccess!\n\n", True),
        (f"Inserting certificate '{A}' in crt-list 'crt.list'.\nee key too small.\nFailed!\n\n", False),
    ],
)
def test_a_line_of_the_list_is_added_with_its_names(
    runtime: Runtime, haproxy: HAProxy, answer: str, accepted: bool
) -> None:
    """As a payload, because a line has several words."""
    haproxy.answers["add ssl crt-list crt.list"] = answer
    assert accepts(lambda: runtime.add_to_crt_list(A, ("*.a.test", "a.test"))) is accepted
    assert haproxy.sent == [f"add ssl crt-list crt.list <<\n{A} *.a.test a.test\n\n"]


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        (f"Entry '{A}' deleted in crtlist 'crt.list'!\n\n", True),
        (f"Can't delete the entry: found a certificate '{A}' but the line number is incorrect\n\n", False),
    ],
)
def test_a_line_of_the_list_is_removed_by_its_number(
    runtime: Runtime, haproxy: HAProxy, answer: str, accepted: bool
) -> None:
    """A path may stand in several lines."""
    haproxy.answers[f"del ssl crt-list crt.list {A}:2"] = answer
    assert accepts(lambda: runtime.remove_from_crt_list(CrtListLine(A, 2, ("b.test",)))) is accepted


def accepts(command: Callable[[], None]) -> bool:
    """Whether HAProxy does it."""
    try:
        command()
    except RuntimeRefusal:
        return False
    return True


# Maps


def test_a_map_is_replaced_in_one_step(runtime: Runtime, haproxy: HAProxy) -> None:
    """A new version is prepared, filled and committed: no request sees half of it."""
    haproxy.answers[f"prepare map {TLS_MAP}"] = "New version created: 7\n\n"
    runtime.replace_map(TLS_MAP, {"a.test": "shop", "b.test": "blog"})
    assert haproxy.sent == [
        f"prepare map {TLS_MAP}\n",
        f"add map @7 {TLS_MAP} <<\na.test shop\nb.test blog\n\n",
        f"commit map @7 {TLS_MAP}\n",
    ]


def test_an_empty_map_needs_no_entries(runtime: Runtime, haproxy: HAProxy) -> None:
    """A version without any is committed."""
    haproxy.answers[f"prepare map {TLS_MAP}"] = "New version created: 7\n\n"
    runtime.replace_map(TLS_MAP, {})
    assert haproxy.sent == [f"prepare map {TLS_MAP}\n", f"commit map @7 {TLS_MAP}\n"]


def test_a_large_map_is_sent_in_parts_that_fit(runtime: Runtime, haproxy: HAProxy) -> None:
    """A command has at most ``tune.bufsize`` bytes with its payload; no entry is lost or sent twice."""
    haproxy.answers[f"prepare map {TLS_MAP}"] = "New version created: 1\n\n"
    entries = {f"host-{number}.some-domain.test": "shop-12345678" for number in range(3000)}
    runtime.replace_map(TLS_MAP, entries)
    parts = haproxy.sent[1:-1]
    assert len(parts) > 3
    assert max(map(len, parts)) < 32_000
    lines = [line for part in parts for line in part.splitlines()[1:] if line]
    assert lines == [f"{key} {value}" for key, value in entries.items()]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({f"prepare map {PLAIN_MAP}": "Unknown map identifier. Please use #<id> or <file>.\n\n"}, "would not prepare"),
        ({f"add map @1 {PLAIN_MAP}": "'add map' expects a key and a value.\n\n"}, "refused entries of"),
        ({f"commit map @1 {PLAIN_MAP}": "Version number out of range.\n\n"}, "Version number out of range"),
    ],
)
def test_a_map_that_is_refused_says_at_which_step(
    runtime: Runtime, haproxy: HAProxy, answers: dict[str, str], reason: str
) -> None:
    """The old content serves on."""
    haproxy.answers |= {f"prepare map {PLAIN_MAP}": "New version created: 1\n\n"} | answers
    with pytest.raises(RuntimeRefusal, match=reason):
        runtime.replace_map(PLAIN_MAP, {"a.test": "shop"})


# Reload


def test_a_reload_waits_for_its_verdict(runtime: Runtime, haproxy: HAProxy, tmp_path: Path) -> None:
    """The worker's view of its servers is left for the one that follows."""
    haproxy.answers["reload"] = "Success=1\n--\n[NOTICE]   (12) : New worker (24) forked\n\n"
    assert runtime.reload().accepted
    assert haproxy.sent == ["show servers state\n", "reload\n"]
    assert (tmp_path / "servers.state").read_text() == QUIET["show servers state"]


def test_a_refused_reload_brings_its_reasons(runtime: Runtime, haproxy: HAProxy) -> None:
    """HAProxy's own start-up log follows the verdict."""
    haproxy.answers["reload"] = "Success=0\n--\n[ALERT]    (12) : cannot bind socket\n\n"
    verdict = runtime.reload()
    assert not verdict.accepted
    assert verdict.reasons == "[ALERT]    (12) : cannot bind socket\n\n"


@pytest.mark.usefixtures("haproxy")
def test_a_master_that_is_not_there_is_an_operational_error(runtime: Runtime, tmp_path: Path) -> None:
    """It cannot be asked, so nothing is known."""
    (tmp_path / "master.sock").unlink()
    with pytest.raises(OperationalError, match="master process does not answer a reload"):
        runtime.reload()


@pytest.mark.parametrize("state", ["ready", "drain", "maint"])
def test_a_server_is_added_checked_and_enabled(runtime: Runtime, haproxy: HAProxy, state: ServerState) -> None:
    """In this order: a new server is in maintenance, and takes requests only when its checks run."""
    haproxy.answers |= {
        "add server shop/shop-3 10.0.0.3:80 check": "New server registered.\n\n",
        "enable health shop/shop-3": "\n",
        f"set server shop/shop-3 state {state}": "\n",
    }
    runtime.add_server("shop", "shop-3", "10.0.0.3:80 check", state)
    assert [command.strip() for command in haproxy.sent] == [
        "add server shop/shop-3 10.0.0.3:80 check",
        "enable health shop/shop-3",
        *([f"set server shop/shop-3 state {state}"] if state != "maint" else []),
    ]


def test_a_server_that_cannot_be_added_is_a_refusal(runtime: Runtime, haproxy: HAProxy) -> None:
    """The words are HAProxy's."""
    haproxy.answers["add server gone/shop-3 10.0.0.3:80 check"] = "No such backend.\n\n"
    with pytest.raises(RuntimeRefusal, match=re.escape("No such backend.")):
        runtime.add_server("gone", "shop-3", "10.0.0.3:80 check")


def test_a_server_that_is_still_busy_is_forgotten_later(runtime: Runtime, haproxy: HAProxy) -> None:
    """It gets nothing new meanwhile."""
    haproxy.answers |= {
        "set server shop/shop-1 state maint": "\n",
        "wait 200ms srv-removable shop/shop-1": "Failed.\n\n",
        "del server shop/shop-1": "Server still has connections attached to it, cannot remove it.\n\n",
    }
    runtime.remove_server("shop", "shop-1")
    assert haproxy.sent[0] == "set server shop/shop-1 state maint\n"


@pytest.mark.parametrize(("admin_state", "state"), [("1", "maint"), ("8", "drain"), ("9", "maint"), ("5", "maint")])
def test_a_server_that_was_set_aside_is_known_as_such(
    runtime: Runtime, haproxy: HAProxy, tmp_path: Path, admin_state: str, state: ServerState
) -> None:
    """In maintenance or draining it gets no requests; and no worker that follows inherits that."""
    quiet = QUIET["show servers state"]
    haproxy.answers |= {
        "show servers state": quiet.replace("10.0.0.1 2 0 8000", f"10.0.0.1 0 {admin_state} 8000"),
        "reload": "Success=1\n--\n",
    }
    running = runtime.running()
    assert running
    assert running.servers["shop"] == {
        "shop-1": RunningServer("10.0.0.1", 8000, state),
        "shop-2": RunningServer("2001:db8::1", 8000),
    }
    runtime.reload()
    assert (tmp_path / "servers.state").read_text() == quiet.replace("3 shop 1 shop-1 10.0.0.1 2 0 8000\n", "")


@pytest.mark.parametrize("answer", ["", "\n", "1\n", "1\n# be_id be_name\n3 shop 1 sh"])
def test_an_answer_that_was_cut_off_is_no_server(runtime: Runtime, haproxy: HAProxy, answer: str) -> None:
    """A worker that dies says less than it meant to."""
    haproxy.answers["show servers state"] = answer
    running = runtime.running()
    assert running
    assert running.servers == {}


def test_a_server_moves(runtime: Runtime, haproxy: HAProxy) -> None:
    """Whatever its check found at the old address says nothing of the new one; an unknown server is a refusal."""
    haproxy.answers["set server shop/shop-1 health up"] = "\n"
    for answer in ("IP changed from '10.0.0.1' to '10.0.0.9' by 'stats socket command'\n\n", "nothing changed\n\n"):
        haproxy.answers["set server shop/shop-1 addr 10.0.0.9 port 80"] = answer
        runtime.move_server("shop", "shop-1", "10.0.0.9", 80)
        assert haproxy.sent[-1] == "set server shop/shop-1 health up\n"
    haproxy.answers["set server shop/shop-1 addr 10.0.0.9 port 80"] = "No such server.\n\n"
    with pytest.raises(RuntimeRefusal, match=re.escape("No such server.")):
        runtime.move_server("shop", "shop-1", "10.0.0.9", 80)
