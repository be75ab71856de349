"""What the agent writes is what letsencrypt reads: two packages that share nothing but a file."""

from dataclasses import asdict
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.admission import Admission
from letsencrypt.certonly import PRODUCTION, Directory, Options, arguments
from letsencrypt.wanted import VERSION, parse_wanted
from proxy_agent.routing import wanted as agent
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.metadata import SETTINGS
from proxy_agent.routing.model import Container, Service
from tests.unit.letsencrypt.test_certonly import FOLDERS

GOOD = {
    "ACME_HOST": "a.test, Bücher.test, 192.0.2.7, 2001:db8::1",
    "ACME_EMAIL": "me@a.test",
    "ACME_CA_URI": "https://ca.test:14000/dir",
    "ACME_EAB_KID": "kid_1",
    "ACME_EAB_HMAC_KEY": "aGVsbG8_-",
    "ACME_CERT_PROFILE": "shortlived",
    "ACME_PREFERRED_CHAIN": "ISRG Root X1",
    "ACME_KEYSIZE": "EC-384",
    "ACME_RENEW_PRIVATE_KEYS": "no",
}


def requests_of(settings: dict[str, str]) -> tuple[agent.Request, ...]:
    """What the agent asks for a container with *settings*."""
    service = Service("shop/web", (Container("web-1", settings, (80,), ip_address("10.0.0.1")),))
    return agent.find_wanted([service], Proxy(), lambda _: False)[0]


def command_lines(settings: dict[str, str]) -> list[list[str]]:
    """The runs of certbot that come of it, where every server is allowed."""
    requests, skipped = parse_wanted(agent.render_wanted(requests_of(settings)))
    assert skipped == ()
    servers = frozenset(Directory(request.server) for request in requests if request.server)
    wishes, refused = Admission((), Directory(PRODUCTION), servers=servers).admit(requests)
    assert refused == ()
    return [arguments(wish.lineage, Options(directory=wish.directory), FOLDERS, None) for wish in wishes.values()]


def test_every_option_goes_all_the_way() -> None:
    """From the variables of a container to certbot's command line."""
    [request], skipped = parse_wanted(agent.render_wanted(requests_of(GOOD)))
    assert skipped == ()
    assert request.names == ("a.test", "xn--bcher-kva.test", "192.0.2.7", "2001:db8::1")
    assert request.services == ("shop/web",)
    told = asdict(requests_of(GOOD)[0].options)
    told.pop("one_each")
    assert {name: getattr(request, name) for name in told} == told
    [line] = command_lines(GOOD)
    assert " ".join(line).endswith(
        "--key-type ecdsa --elliptic-curve secp384r1 --reuse-key --required-profile=shortlived "
        "--preferred-chain=ISRG Root X1 --eab-kid=kid_1 --eab-hmac-key=aGVsbG8_- "
        "--server https://ca.test:14000/dir --config-dir /c --work-dir /w --logs-dir /l --max-log-backups 10 "
        "--email me@a.test --cert-name a.test --webroot --webroot-path /webroot "
        "-d a.test -d xn--bcher-kva.test --ip-address 192.0.2.7 --ip-address 2001:db8::1"
    )


def test_both_sides_speak_the_same_version() -> None:
    """A release that changes the file changes both."""
    assert agent.VERSION == VERSION


ACME = sorted(name for name in SETTINGS if name.startswith(("ACME", "LETSENCRYPT", "VIRTUAL_HOST")))
TEXT = st.text(max_size=40) | st.sampled_from(
    [*GOOD.values(), "a.test,b.test", "-d", "--csr=x", "https://a.test/", "yes"]
)


@given(st.dictionaries(st.sampled_from(ACME), TEXT), st.sampled_from(["a.test", "b.test,a.test", ""]))
def test_whatever_a_container_says_is_read_on_the_other_side(settings: dict[str, str], hosts: str) -> None:
    """Each request of the agent's is accepted as it stands, and no word of a container becomes an option of certbot's
    that is not one of ours.
    """
    ours = {
        *("--non-interactive", "--agree-tos", "--keep-until-expiring", "--server", "--config-dir", "--work-dir"),
        *("--logs-dir", "--max-log-backups", "--email", "--cert-name", "--webroot", "--webroot-path", "-d"),
        *("--ip-address", "--key-type", "--elliptic-curve", "--rsa-key-size", "--reuse-key", "--no-reuse-key"),
        *("--required-profile", "--preferred-profile", "--preferred-chain", "--eab-kid", "--eab-hmac-key"),
    }
    for line in command_lines({**settings, **({"ACME_HOST": hosts} if hosts else {})}):
        assert {word.partition("=")[0] for word in line if word.startswith("-")} <= ours
        assert all(word.isprintable() for word in line)
