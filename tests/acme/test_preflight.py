"""What must fail is seen before Pebble is asked, and costs no order there."""

import logging
from datetime import timedelta

import pytest
from click.testing import CliRunner

from letsencrypt.__main__ import main
from tests.acme.container import Container
from tests.acme.pebble import Authority, Dns

pytestmark = pytest.mark.acme

PUBLIC_ADDRESS = "9.9.9.9"
"""Of the kind that makes an authority public; nobody is asked there."""


def told(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The lines of *level* about names."""
    return [record.getMessage() for record in log.records if record.levelno == level]


@pytest.fixture
def server(authority: Authority, dns: Dns) -> str:
    """Pebble under a name that has a public address in DNS, so that verdicts at it can be definite."""
    dns.lead("localhost", PUBLIC_ADDRESS)
    return f"--server https://localhost:{authority.port}/dir"


def test_a_name_that_must_fail_spends_no_order(
    container: Container, authority: Authority, dns: Dns, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in one error, however often it is looked at, and issued once DNS is mended; meanwhile the others are
    issued. What only doubts speak against is ordered: here each name is at a private address.
    """
    caplog.set_level(logging.INFO)
    dns.break_name("failing.net")
    orders = authority.orders()
    with container.started("failing.net; well.net", server) as loop:
        report = loop.cycle()
        assert authority.orders() == orders + 1
        assert (container.certs / "well.net.pem").exists()
        assert timedelta(seconds=50) < report.pause <= timedelta(seconds=61)
        loop.cycle()
        assert told(caplog, logging.ERROR) == [
            "No certificate for failing.net is ordered for now: failing.net cannot be looked up: the DNS server "
            "127.0.0.1 answers with the error SERVFAIL. Check the name servers of its domain, and DNSSEC; "
            "PREFLIGHT=warn orders all the same."
        ]
        assert [line for line in told(caplog, logging.WARNING) if line.startswith("well.net leads to 127.0.0.1 here")]
    assert authority.orders() == orders + 1

    dns.mend_name("failing.net")
    with container.started("failing.net; well.net", server) as loop:
        loop.cycle()
    assert authority.orders() == orders + 2
    assert (container.certs / "failing.net.pem").exists()


def test_a_name_is_left_out_until_it_heals(container: Container, authority: Authority, dns: Dns, server: str) -> None:
    """The others are issued at once, and the whole as soon as it can be, as one lineage; a name that is unwell again
    then costs its certificate nothing.
    """
    container.settings = {"ALLOW_SUBSET": "yes"}
    orders = authority.orders()

    def issued() -> set[str]:
        with container.started("shop.net, www.shop.net", server) as loop:
            loop.cycle()
        return {str(name) for name in container.published("shop.net").identifiers}

    dns.break_name("shop.net")
    assert issued() == {"www.shop.net"}
    dns.mend_name("shop.net")
    assert issued() == {"shop.net", "www.shop.net"}
    assert authority.orders() == orders + 2
    dns.break_name("shop.net")
    assert issued() == {"shop.net", "www.shop.net"}
    assert authority.orders() == orders + 2
    assert [path.name for path in container.certs.iterdir()] == ["shop.net.pem"]


@pytest.mark.parametrize(("mode", "ordered"), [("warn", 1), ("off", 1), ("strict", 0)])
def test_the_operator_may_have_it_ordered_all_the_same(
    container: Container, authority: Authority, dns: Dns, server: str, mode: str, ordered: int
) -> None:
    """With ``warn`` or ``off``, the authority decides."""
    dns.break_name("stubborn.net")
    container.settings = {"PREFLIGHT": mode}
    orders = authority.orders()
    with container.started("stubborn.net", server) as loop:
        loop.cycle()
    assert authority.orders() == orders + ordered


def test_the_command_looks_beside_the_running_loop(
    container: Container, authority: Authority, dns: Dns, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows the same verdicts, orders nothing, and leaves no token."""
    dns.break_name("astray.net")
    orders = authority.orders()
    with container.started("astray.net", server):
        for name, value in container.environ("astray.net", server).items():
            monkeypatch.setenv(name, value)
        all_wanted = CliRunner().invoke(main, ["preflight"])
        another = CliRunner().invoke(main, ["preflight", "fine.net"])
    assert (all_wanted.exit_code, another.exit_code) == (2, 1)
    assert "\nfails  astray.net cannot be looked up: " in all_wanted.output
    assert "\ndoubtful  fine.net leads to 127.0.0.1 here, where no CA can come." in another.output
    assert authority.orders() == orders
    assert list((container.run / "webroot/.well-known/acme-challenge").iterdir()) == []
