"""What containers want, held against DOMAINS and the operator's white lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.admission import Admission, parse_allowed, parse_servers
from letsencrypt.certonly import PRODUCTION, STAGING, Directory
from letsencrypt.discovery import by_directory
from letsencrypt.lineages import parse_domains
from letsencrypt.settings import load
from letsencrypt.wanted import Request
from proxy_agent.daemon.settings import SettingsError
from proxy_agent.tls.names import parse_identifier


def request(*names: str, by: str = "shop", **options: object) -> Request:
    """A wish of a container."""
    return Request.model_validate({"names": names, "for": [by], **options})


def rules(domains: str = "", allowed: str = "", servers: str = "", url: str = PRODUCTION) -> Admission:
    """An operator's settings."""
    lineages = parse_domains(domains).lineages
    return Admission(lineages, Directory(url), parse_allowed(allowed), frozenset(parse_servers(servers)))


def granted(admission: Admission, *requests: Request) -> list[str]:
    """The certificates that are obtained."""
    return [str(wish.lineage) for wish in admission.admit(requests)[0].values()]


def refused(admission: Admission, *requests: Request) -> list[str]:
    """What is refused."""
    return [str(item) for item in admission.admit(requests)[1]]


def test_all_are_granted_unless_somebody_says_otherwise() -> None:
    """Each list is a certificate of its own, named for its first name, and says who wants it."""
    wishes, skipped = rules().admit([request("a.test", "b.test"), request("2001:db8::1", by="x")])
    assert skipped == ()
    assert {name: str(wish.lineage) for name, wish in wishes.items()} == {
        "a.test": "a.test, b.test",
        "ipv6-2001-db8--1": "2001:db8::1",
    }
    assert wishes["a.test"].lineage.title == "a.test, b.test (wanted by shop)"
    assert wishes["a.test"].directory == Directory(PRODUCTION)


def test_domains_comes_first_and_says_nothing() -> None:
    """A name that DOMAINS names is not ordered again; the rest of a list is."""
    admission = rules(domains="a.test, www.a.test")
    assert granted(admission, request("a.test"), request("www.a.test", "c.test")) == ["c.test"]
    assert refused(admission, request("a.test"), request("www.a.test", "c.test")) == []


def test_outside_the_white_list_is_refused_by_name() -> None:
    """The names inside go on without those outside."""
    admission = rules(allowed="*.example.com, a.test")
    assert granted(admission, request("a.test", "evil.test", "x.y.example.com"), request("example.com")) == [
        "a.test, x.y.example.com"
    ]
    assert refused(admission, request("a.test", "evil.test"), request("example.com", by="blog")) == [
        "blog: example.com is outside ALLOWED_DOMAINS",
        "shop: evil.test is outside ALLOWED_DOMAINS",
    ]


def test_a_dot_before_a_name_means_it_and_all_below() -> None:
    """As in VIRTUAL_HOST."""
    admission = rules(allowed=".example.com")
    assert granted(admission, request("example.com", "a.example.com", "notexample.com")) == [
        "example.com, a.example.com"
    ]


def test_a_wildcard_and_a_name_of_certbots_are_refused() -> None:
    """The one cannot be validated, the other would be taken for the duplicate of another host's."""
    assert refused(rules(), request("*.a.test", "a.test-0001")) == [
        "shop: *.a.test is a wildcard, which is validated over DNS only; list its names one by one",
        "shop: a.test-0001 ends as certbot names the second certificate of another host",
    ]


def test_lists_that_begin_alike() -> None:
    """Of two, which may come of the names that DOMAINS has, the second gets a certificate for the rest of its names."""
    lists = request("x.test", "a.test", "b.test"), request("a.test", "c.test", by="blog"), request("a.test", by="copy")
    assert granted(rules(domains="x.test"), *lists) == ["a.test, b.test", "c.test"]
    assert refused(rules(domains="x.test"), *lists) == []


def test_a_server_has_to_be_allowed() -> None:
    """The stack's own and those of the white list may be chosen; no other is asked, for none of the names."""
    other = "https://ca.test/directory"
    assert refused(rules(), request("a.test", server=other)) == [
        "shop: a.test: the ACME server https://ca.test/directory is neither this stack's nor in ALLOWED_ACME_SERVERS"
    ]
    wishes, _ = rules(servers=other).admit([request("a.test", server=other), request("b.test", server=PRODUCTION)])
    assert {name: wish.directory.url for name, wish in wishes.items()} == {"a.test": other, "b.test": PRODUCTION}


def test_a_rehearsal_is_held_where_the_real_thing_is_trusted() -> None:
    """LETSENCRYPT_TEST is Let's Encrypt's staging; a stack with a CA of its own does not turn there unasked."""
    wishes, _ = rules().admit([request("a.test", staging=True)])
    assert wishes["a.test"].directory == Directory(STAGING)
    assert granted(rules(url="https://ca.test/"), request("a.test", staging=True)) == []
    assert granted(rules(url="https://ca.test/", servers=STAGING), request("a.test", staging=True)) == ["a.test"]


def test_an_external_account_is_kept_apart() -> None:
    """Who brings account keys gets an account, and a folder, of its own; at Let's Encrypt, which knows no such keys,
    they would only spend the limit of new accounts.
    """
    keys = {"eab_kid": "kid", "eab_hmac_key": "key"}
    private = rules(url="https://ca.test/")
    wishes, _ = private.admit([request("a.test", **keys), request("b.test"), request("c.test", eab_kid="kid")])
    assert wishes["a.test"].directory == Directory("https://ca.test/", "kid")
    assert wishes["b.test"].directory == wishes["c.test"].directory == Directory("https://ca.test/")
    wish = rules().admit([request("a.test", **keys)])[0]["a.test"]
    assert wish.directory == Directory(PRODUCTION)
    assert wish.lineage.words == ()


def test_options_become_words_of_certbot() -> None:
    """Each value is bound to its option, so that none can be taken for another option."""
    wishes, _ = rules(url="https://ca.test/").admit(
        [
            request(
                "a.test",
                key="rsa-3072",
                reuse_key=True,
                profile="-x",
                preferred_chain="ISRG Root X1",
                eab_kid="-kid",
                eab_hmac_key="-key",
                email="me@a.test",
            )
        ]
    )
    lineage = wishes["a.test"].lineage
    assert lineage.words == (
        *("--key-type", "rsa", "--rsa-key-size", "3072", "--reuse-key", "--required-profile=-x"),
        *("--preferred-chain=ISRG Root X1", "--eab-kid=-kid", "--eab-hmac-key=-key"),
    )
    assert lineage.email == "me@a.test"
    assert "-key" not in repr(lineage).replace("--", "").replace("reuse-key", "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALLOWED_DOMAINS", "exa mple.com"),
        ("ALLOWED_DOMAINS", "*"),
        ("ALLOWED_DOMAINS", ","),
        ("ALLOWED_DOMAINS", "*.192.0.2.1"),
        ("ALLOWED_DOMAINS", "*a.test"),
        ("ALLOWED_DOMAINS", "a.test, *.*.test"),
        ("ALLOWED_ACME_SERVERS", "http://ca.test/"),
        ("AUTO_DOMAINS", "perhaps"),
    ],
)
def test_a_white_list_that_cannot_be_read_is_no_white_list(variable: str, value: str) -> None:
    """The container does not start: to go on without the item, or without the list, could allow too much."""
    with pytest.raises(SettingsError, match=f"^{variable}="):
        load({variable: value})


NAMES = st.sampled_from(["a.test", "b.a.test", "test", "x.test", "xa.test", "192.0.2.1", "a.test.x"])


@given(st.lists(NAMES, min_size=1), st.lists(st.sampled_from(["", ".", "*."]).flatmap(lambda p: NAMES.map(p.__add__))))
def test_nothing_outside_the_white_list_is_ever_granted(names: list[str], allowed: list[str]) -> None:
    """Checked against the plain meaning of each item."""
    patterns = [item for item in allowed if "192" not in item or not item.startswith(("*", "."))]
    wishes, _ = rules(allowed=",".join(patterns)).admit([request(*dict.fromkeys(names))])

    def fits(name: str, item: str) -> bool:
        bare = item.removeprefix("*").removeprefix(".")
        is_below = item != bare and name.endswith(f".{bare}")
        return is_below or (name == bare and not item.startswith("*"))

    got = {str(identifier) for wish in wishes.values() for identifier in wish.lineage.identifiers}
    assert got == {name for name in names if not patterns or any(fits(name, item) for item in patterns)}
    assert all(str(parse_identifier(name)) == name for name in got)


def test_an_address_with_a_profile_that_holds_none_is_refused() -> None:
    """Of Let's Encrypt that is known before it is asked, whoever chose the profile; of other servers it is not."""
    wanted = request("192.0.2.7", profile="classic")
    [refusal] = refused(rules(), wanted)
    assert refusal.startswith("shop: 192.0.2.7: Let's Encrypt's profile classic holds no addresses such as 192.0.2.7: ")
    assert granted(rules(url="https://ca.example/dir"), wanted) == ["192.0.2.7"]
    assert granted(rules(), request("192.0.2.7"), request("a.test", profile="classic")) == ["192.0.2.7", "a.test"]
    settings = load({"DOMAINS": "192.0.2.7; a.test", "OPTIONS": "--preferred-profile tlsserver"})
    assert [lineage.name for each in by_directory(settings.admission, {}).values() for lineage in each] == ["a.test"]
