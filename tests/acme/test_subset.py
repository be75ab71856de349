"""One name that the authority cannot validate, beside others in one certificate; real certbot against real Pebble."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from letsencrypt.certonly import Directory
from letsencrypt.control import Verb
from letsencrypt.state_file import StateFile, state_folder
from tests.acme.container import Container
from tests.acme.pebble import Authority, Dns

pytestmark = pytest.mark.acme


def want(path: Path, *names: str) -> None:
    """What the agent beside HAProxy writes for one container."""
    path.write_text(json.dumps({"version": 1, "certificates": [{"names": names, "for": ["shop"]}]}))


def test_a_name_that_fails_at_the_authority_costs_itself(container: Container, authority: Authority, dns: Dns) -> None:
    """With no preflight to see it: the first order fails, the second is for the rest, the third for all when the name
    healed; restarts in between order nothing, and it stays one lineage.
    """
    container.settings = {"PREFLIGHT": "off", "ALLOW_SUBSET": "yes"}
    dns.break_name("www.subset.example")
    orders = authority.orders()

    def cycles(times: int) -> set[str]:
        for _ in range(times):
            container.cycle("subset.example, www.subset.example", authority)
        return {str(name) for name in container.published("subset.example").identifiers}

    container.cycle("subset.example, www.subset.example", authority)
    assert cycles(3) == {"subset.example"}
    assert authority.orders() == orders + 2
    state, _ = StateFile(state_folder(Directory(authority.directory), container.letsencrypt)).load(datetime.now(UTC))
    assert state is not None
    assert list(state.ailing) == ["www.subset.example"]

    dns.mend_name("www.subset.example")
    container.ask(Verb.RETRY, "subset.example")
    assert cycles(2) == {"subset.example", "www.subset.example"}
    assert authority.orders() == orders + 3
    assert container.lineages(authority) == {"subset.example"}
    dns.break_name("www.subset.example")
    assert cycles(2) == {"subset.example", "www.subset.example"}
    assert authority.orders() == orders + 3


def test_domains_are_issued_whole_or_not_at_all(container: Container, authority: Authority, dns: Dns) -> None:
    """Unless ALLOW_SUBSET says otherwise, nobody writes a name there to go without it."""
    container.settings = {"PREFLIGHT": "off"}
    dns.break_name("www.whole.example")
    orders = authority.orders()
    for _ in range(3):
        container.cycle("whole.example, www.whole.example", authority)
    assert authority.orders() == orders + 1
    assert list(container.certs.iterdir()) == []
