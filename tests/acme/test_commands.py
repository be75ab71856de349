"""The commands beside the running loop, which is a process of its own; real certbot against real Pebble."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from click.testing import CliRunner, Result

from letsencrypt.__main__ import main
from letsencrypt.revocation import Revocations
from proxy_agent.tls.bundle import Bundle
from tests.acme.container import Container
from tests.acme.pebble import Authority, Dns
from tests.acme.test_process import Running, running
from tests.waiting import until

pytestmark = pytest.mark.acme


@dataclass
class Operator:
    """Somebody with a shell in the container."""

    container: Container
    environ: dict[str, str]
    program: Running

    def types(self, *words: str) -> Result:
        """One command, to its end."""
        return CliRunner().invoke(main, words, env=self.environ)

    def bundle(self, name: str) -> Bundle:
        """What is in service for the lineage *name*, as soon as that is anything."""
        until((self.container.certs / f"{name}.pem").exists, f"{name} is published")
        return self.container.published(name)

    def succeeds(self, *words: str) -> str:
        """What a command says that is expected to do what is asked."""
        done = self.types(*words)
        assert done.exit_code == 0, f"{done.stderr}\n{self.program.words()}"
        return done.stdout

    def fails(self, *words: str) -> str:
        """What a command says, in one sentence, that is expected to fail."""
        done = self.types(*words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("Error: ").removesuffix("\n")

    def status(self) -> dict[str, tuple[str, ...]]:
        """The names of each certificate that is wanted."""
        lines = json.loads(self.succeeds("status", "--json"))
        return {line["lineage"]: tuple(line["names"]) for line in lines if line["wanted"]}


@contextmanager
def operated(container: Container, authority: Authority, domains: str = "", options: str = "") -> Iterator[Operator]:
    """The container at work."""
    options = f"--server {authority.directory} {options}"
    with running(container, domains, options) as program:
        until(lambda: program.health().returncode == 0, "the loop has begun")
        yield Operator(container, container.environ(domains, options), program)


def test_issue_obtains_a_certificate_that_is_wanted_until_it_is_forgotten(
    container: Container, authority: Authority
) -> None:
    """It is there when the command ends, survives a restart, is named in the status, and goes with ``forget``."""
    with operated(container, authority, "a.example") as operator:
        said = operator.succeeds("issue", "more.example,www.more.example", "--key", "rsa-2048")
        assert said == "The certificate more.example is well.\n"
        authority.verify(container.published("more.example").pem, "www.more.example")
        assert "wanted by the command issue" in operator.succeeds("status")
        assert operator.fails("issue", "www.more.example") == (
            "Asked to issue www.more.example: www.more.example is wanted by the command issue already: "
            "see renew more.example."
        )
        assert "a.example is wanted by DOMAINS already" in operator.fails("issue", "a.example")
        assert "a wildcard is validated over DNS only" in operator.fails("issue", "*.more.example")
        assert operator.fails("issue", "x.example", "--email", "nobody") == "what is given as --email cannot be used"
    orders = authority.orders()
    with operated(container, authority, "a.example") as operator:
        until(lambda: operator.status().get("more.example"), "the loop knows it again")
        assert operator.status() == {"a.example": ("a.example",), "more.example": ("more.example", "www.more.example")}
        assert operator.succeeds("forget", "more.example") == "Forgot the certificate more.example.\n"
        assert operator.status() == {"a.example": ("a.example",)}
    assert authority.orders() == orders
    assert [path.name for path in container.certs.iterdir()] == ["a.example.pem"]


def test_what_fails_ends_the_command_with_the_reason(container: Container, authority: Authority, dns: Dns) -> None:
    """Exit status 1, and one sentence with what the CA said and when it is tried again; so for ``retry``."""
    dns.break_name("unwell.example")
    with operated(container, authority) as operator:
        said = operator.fails("issue", "unwell.example")
        assert said.startswith("unwell.example (validation): ")
        assert "Next try in 6" in said
        assert operator.fails("retry", "unwell.example").startswith("unwell.example (validation): ")
        dns.mend_name("unwell.example")
        assert operator.succeeds("retry", "unwell.example") == "The certificate unwell.example is well.\n"


def test_renew_looks_and_with_force_orders(container: Container, authority: Authority) -> None:
    """A look orders nothing that is not due; --force orders once, and says what the limit leaves."""
    with operated(container, authority, "a.example; b.example") as operator:
        operator.bundle("b.example")
        first, orders = operator.bundle("a.example").serial, authority.orders()
        assert operator.succeeds("renew") == "The certificate a.example is well. The certificate b.example is well.\n"
        assert operator.succeeds("renew", "a.example") == "The certificate a.example is well.\n"
        assert authority.orders() == orders
        assert operator.succeeds("renew", "a.example", "--force") == "The certificate a.example is well.\n"
        assert authority.orders() == orders + 1
        assert container.published("a.example").serial != first
        assert "then there are 998 more for the same names within seven days" in operator.program.words()
        operator.succeeds("renew", "a.example")
        assert authority.orders() == orders + 1
        assert operator.fails("renew", "c.example").startswith("No certificate is known as 'c.example'")


@pytest.mark.parametrize("reason", ["keycompromise", "superseded", "unspecified"])
def test_what_is_revoked_is_replaced_before(container: Container, authority: Authority, reason: str) -> None:
    """The CA knows it as revoked, another with another key is in service, whatever --reuse-key says, and of the old
    key nothing is left.
    """
    with operated(container, authority, "leaked.example", "--reuse-key") as operator:
        first = operator.bundle("leaked.example")
        said = operator.succeeds("revoke", "leaked.example", "--reason", reason)
        assert said == f"Revoked the certificate leaked.example ({reason}), and put another in its place.\n"
        words = operator.program.words()
        assert words.index("Renewed the certificate for leaked.example") < words.index("Revoked the certificate for")
    second = container.published("leaked.example")
    authority.verify(second.pem, "leaked.example")
    assert [authority.is_revoked(each.serial) for each in (first, second)] == [True, False]
    key = first.pem.partition(b"-----BEGIN CERTIFICATE-----")[0]
    assert not second.pem.startswith(key)
    kept = [path for path in container.letsencrypt.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert kept == []


def test_a_compromised_key_is_revoked_though_no_other_comes(
    container: Container, authority: Authority, dns: Dns
) -> None:
    """The first try for another fails: it is revoked all the same, and replaced when that can be; a certificate that
    is only superseded waits, and stays good.
    """
    with operated(container, authority, "leaked.example; old.example") as operator:
        first, old = operator.bundle("leaked.example"), operator.bundle("old.example")
        dns.break_name("leaked.example")
        dns.break_name("old.example")
        said = operator.fails("revoke", "leaked.example", "--reason", "keycompromise")
        assert said == "Revoked the certificate leaked.example (keycompromise), but there is no other yet."
        said = operator.fails("revoke", "old.example", "--reason", "superseded")
        assert said == "old.example is revoked as soon as there is another, which failed."
        assert [authority.is_revoked(each.serial) for each in (first, old)] == [True, False]
        assert container.published("leaked.example").serial == first.serial
        dns.mend_name("leaked.example")
        dns.mend_name("old.example")
        operator.succeeds("retry", "leaked.example")
        operator.succeeds("retry", "old.example")
        until(lambda: not Revocations(container.letsencrypt).all(), "nothing is left to do")
    assert authority.is_revoked(old.serial)
    for name, before in (("leaked.example", first), ("old.example", old)):
        authority.verify(container.published(name).pem, name)
        assert container.published(name).serial != before.serial


def test_a_revocation_survives_a_kill_between_its_steps(container: Container, authority: Authority, dns: Dns) -> None:
    """The wish is on the volume: another start goes on with it, and orders what was not ordered yet."""
    with operated(container, authority, "leaked.example") as operator:
        first = operator.bundle("leaked.example")
        dns.break_name("leaked.example")
        operator.types("revoke", "leaked.example", "--reason", "superseded")
        operator.program.process.kill()
        operator.program.process.wait()
    dns.mend_name("leaked.example")
    assert not authority.is_revoked(first.serial)
    with operated(container, authority, "leaked.example") as operator:
        operator.types("retry", "leaked.example")
        until(lambda: authority.is_revoked(first.serial), "it is revoked")
        until(lambda: not Revocations(container.letsencrypt).all(), "nothing is left to do")
    assert container.published("leaked.example").serial != first.serial


def test_what_is_dropped_is_revoked_and_gone(container: Container, authority: Authority) -> None:
    """Only what nobody wants but the command ``issue``, which wants it no more then."""
    with operated(container, authority, "kept.example") as operator:
        operator.succeeds("issue", "gone.example")
        gone, kept = operator.bundle("gone.example"), operator.bundle("kept.example")
        said = operator.succeeds("revoke", "gone.example", "--reason", "cessationofoperation", "--drop")
        assert said == "Revoked the certificate gone.example (cessationofoperation), and dropped it.\n"
        assert operator.fails("revoke", "kept.example", "--drop").startswith("kept.example is still wanted: ")
        assert operator.status() == {"kept.example": ("kept.example",)}
    assert [authority.is_revoked(each.serial) for each in (gone, kept)] == [True, False]
    assert container.lineages(authority) == {"kept.example"}
    assert [path.name for path in container.certs.iterdir()] == ["kept.example.pem"]


def test_a_command_without_a_loop_says_so(container: Container, authority: Authority) -> None:
    """And one that does not wait says where to look."""
    with operated(container, authority) as operator:
        assert operator.succeeds("renew", "--wait", "0") == "Asked to renew all; the log says what comes of it.\n"
        assert operator.succeeds("renew") == "No certificate is wanted.\n"
        operator.program.stop()
        (container.run / "heartbeat").unlink()
        assert operator.fails("renew").startswith("The loop has not begun")
