"""proxy_agent.routing.render; what exactly is rendered stands in tests/golden."""

from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from proxy_agent.routing.hosts import parse_host
from proxy_agent.routing.model import Backend, Listener, Place, Redirect, Routing, Rule, Server
from proxy_agent.routing.paths import ALL_PATHS
from proxy_agent.routing.render import (
    CONFIGURATION,
    CRT_LIST,
    DEFAULT_LIST,
    MAPS,
    PLAIN_MAP,
    PLAIN_PATHS_MAP,
    REDIRECT_MAP,
    TLS_MAP,
    TLS_PATHS_MAP,
    Configuration,
    CrtList,
    Templates,
    map_file,
)
from proxy_agent.settings import Settings, load

FOLDER = Path(__file__).resolve().parents[3] / "haproxy"
SERVER = Server("shop-1", ip_address("10.0.0.1"), 80)
SHOP = Backend("shop-12345678", "shop", (SERVER,))


def rule(listener: Listener, host: str, redirect: Redirect = "never") -> Rule:
    """A rule for all paths of a host, which the shop answers."""
    return Rule(Place(listener, parse_host(host), ALL_PATHS), 0, SHOP.name, redirect)


RULES = (rule("plain", "a.test", "auto"), rule("tls", "a.test"))
ROUTING = Routing((SHOP,), rules=RULES, covered={"a.test": False})


def settings(**environment: str) -> Settings:
    """The settings of a container on a host without IPv6."""
    return load({"ENABLE_IPV6": "no", "DEFAULT_CERT_SANS": "localhost"} | environment)


@cache
def templates(**environment: str) -> Templates:
    """Compiled once for each environment: that takes longer than a test."""
    return Templates(FOLDER, settings(**environment))


def rendered(routing: Routing = ROUTING, crt_list: CrtList = (), **environment: str) -> Configuration:
    """What HAProxy reads."""
    return templates(**environment).render(routing, crt_list, "/state/default.pem")


def text(configuration: Configuration) -> str:
    """``haproxy.cfg``."""
    return configuration.text.decode()


def test_equal_worlds_give_equal_bytes() -> None:
    """Rendering twice is rendering once."""
    assert rendered() == rendered()


def test_the_files_are_the_configuration_its_lists_and_its_maps() -> None:
    """No more and no fewer: whatever else lies there is not ours."""
    configuration = rendered()
    assert set(configuration.files) == {CONFIGURATION, CRT_LIST, DEFAULT_LIST, *MAPS}
    assert configuration.files[CONFIGURATION] == configuration.text


def test_the_maps_say_what_the_routes_say() -> None:
    """As values for the runtime API, and as files for the next start."""
    configuration = rendered()
    assert configuration.maps == {
        PLAIN_MAP: {"a.test": f"{SHOP.name}:auto:301"},
        PLAIN_PATHS_MAP: {},
        REDIRECT_MAP: {"a.test": "https"},
        TLS_MAP: {"a.test": SHOP.name},
        TLS_PATHS_MAP: {},
    }
    for path, entries in configuration.maps.items():
        assert configuration.files[path] == map_file(entries)


def test_a_map_file_has_a_line_for_each_entry() -> None:
    """Key, blank, value; an empty map is an empty file."""
    assert map_file({"a.test": "shop", "[2001:db8::1]": "shop"}) == b"a.test shop\n[2001:db8::1] shop\n"
    assert map_file({}) == b""


def test_the_default_certificate_never_wins_a_name() -> None:
    """It has a list of its own, with the filter that matches nothing (reference/haproxy.md 2.1)."""
    assert rendered().files[DEFAULT_LIST] == b"/state/default.pem !*\n"


def test_the_crt_list_names_what_each_bundle_answers_for() -> None:
    """One line for each bundle; without bundles it is empty."""
    configuration = rendered(crt_list=(("/state/a.pem", ("*.a.test", "a.test")), ("/state/b.pem", ("b.test",))))
    assert configuration.files[CRT_LIST] == b"/state/a.pem *.a.test a.test\n/state/b.pem b.test\n"
    assert rendered().files[CRT_LIST] == b""


def test_what_the_runtime_api_can_change_is_not_in_the_identity() -> None:
    """Certificates, hosts and redirects of known backends come without a reload."""
    before = rendered()
    more = Routing((SHOP,), rules=(*RULES, rule("tls", "b.test")))
    after = rendered(more, crt_list=(("/state/a.pem", ("a.test",)),))
    assert before.identity == after.identity
    assert before.text == after.text
    assert before.files != after.files


def test_a_new_backend_is_a_new_identity() -> None:
    """A worker that was started before does not know it."""
    other = Backend("other-12345678", "other", ())
    assert rendered(Routing((other, SHOP), rules=RULES)).identity != rendered().identity


def test_the_worker_can_be_asked_for_the_identity() -> None:
    """What runs is known by asking it, not by looking at files."""
    configuration = rendered()
    assert f"    setenv COMPANION_CONFIGURATION {configuration.identity}\n" in text(configuration)


@pytest.mark.parametrize(("port", "named"), [("443", False), ("8443", True)])
def test_a_redirect_names_the_port_where_it_is_not_the_usual_one(port: str, named: bool) -> None:
    """https://a.test:443/ would be a second address of the same page."""
    configuration = text(rendered(HTTPS_PORT=port))
    assert "redirect location https://%[var(txn.host)]%[var(txn.tls_port)]%[pathq] code 301" in configuration
    assert (f"set-var(txn.tls_port) str(:{port})" in configuration) is named


def test_without_ipv6_nothing_binds_it() -> None:
    """A kernel without IPv6 would refuse the whole configuration."""
    assert "v6only" not in text(rendered(ENABLE_IPV6="no"))
    assert text(rendered(ENABLE_IPV6="yes")).count("v6only") == 2


def test_the_access_log_is_off_unless_asked_for() -> None:
    """Errors are logged in any case."""
    assert "option dontlog-normal" in text(rendered())
    assert "option dontlog-normal" not in text(rendered(ACCESS_LOG="yes"))


def test_the_challenge_server_is_found_under_its_name() -> None:
    """Compose projects may call it otherwise."""
    assert "    server letsencrypt certbot:80 " in text(rendered(LETSENCRYPT_SERVICE_NAME="certbot"))


def test_a_name_that_a_template_does_not_know_is_a_bug(tmp_path: Path) -> None:
    """A misspelled variable ends in an error, not in an empty place in the configuration."""
    (tmp_path / "haproxy.cfg.j2").write_text("global\n    {{ settings.mispelled }}\n")
    (tmp_path / "crt-list.j2").write_text("")
    with pytest.raises(UndefinedError, match="mispelled"):
        Templates(tmp_path, settings()).render(Routing(), (), "/state/default.pem")
