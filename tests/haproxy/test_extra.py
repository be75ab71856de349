"""Raw lines, as a real HAProxy takes them."""

import http.client
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy_agent import settings as agent_settings
from proxy_agent.process import check_configuration
from proxy_agent.routing.build import build
from proxy_agent.routing.claims import Proxy as ProxyRules
from proxy_agent.routing.model import Container, Service
from proxy_agent.routing.rawtext import write_line
from proxy_agent.routing.render import Templates
from proxy_agent.trials import Trials
from tests.certificate_authority import CertificateAuthority
from tests.examples import examples
from tests.haproxy.origin import Origin
from tests.haproxy.proxy import TEMPLATES, Proxy, proxy_in_a_folder, reserved_port, service
from tests.haproxy.worlds import service_with
from tests.unit.routing.test_directives import HARMFUL, HARMLESS, NOBODYS
from tests.unit.routing.test_legacy import REFUSED, TRANSLATED

ADVERSARIAL = [
    "option httpclose\nfrontend x\n    bind :1\n    default_backend y",
    "http-request return status 200 content-type text/plain file /certs/issued/a.pem",
    'http-response set-header X "${SECRET}"',
    "http-request lua.steal",
    "stats admin if TRUE",
    "http-request use-service prometheus-exporter",
    "default-server ssl crt /certs/issued/a.pem",
    "http-request set-var(proc.x) str(1)",
    "acl a src -f /etc/passwd",
    "x" * 65536,
    "option httpclose\0",
    'http-response set-header X "a\\',
    "acl a src no-such-host.invalid",
    "http-request deny if { nbsrv(no_route) 0 }",
    "http-request deny if { nbsrv(letsencrypt) 0 }",
    "http-request track-sc0 src table shop",
    "stick-table type ip size 1m expire 1h peers x",
    "balance nonsense,cookie,timeout server,http-request,acl,stick on,retry-on all-retryable-errors",
    "http-request set-header X %[",
    "http-request set-header X %]%",
    "id 1,guid x,description x",
    "errorloc 200 x,errorloc 503 https://a.test/",
    "option mysql-check user a,option pgsql-check user b,option httpchk,tcp-check expect string a",
    "http-check expect status 200,http-check send meth GET uri / body a",
    ".if 1,.endif,.alert x",
    "retries 99999999999999999999",
    "fullconn 0,hash-balance-factor 1",
    "http-request redirect location http://x code 999",
    "force-persist if { always_true }",
]
WORDS = sorted({word for line in (*HARMLESS, *(line for line, _ in HARMFUL)) for word in line.split()})
LINES = st.one_of(
    st.sampled_from([*HARMLESS, *(line for line, _ in (*HARMFUL, *TRANSLATED, *REFUSED)), *NOBODYS]),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join),
    st.text(max_size=30),
)


@pytest.fixture(scope="module")
def folder(authority: CertificateAuthority) -> Iterator[Path]:
    """One for configurations that are only checked, with a default certificate in it."""
    with TemporaryDirectory(prefix="hap-") as path:
        (Path(path) / "default.pem").write_bytes(authority.issue("localhost").bundle_pem)
        (Path(path) / "servers.state").write_text("1\n")
        yield Path(path)


def whole(folder: Path, *services: Service) -> tuple[dict[str, str], bool]:
    """The sections of the configuration that serves *services*, and whether HAProxy takes it."""
    told = agent_settings.load({"RUN_FOLDER": str(folder), "ENABLE_IPV6": "no"})
    extra = Trials(told, folder, check_configuration).extra(services)
    routing = build(services, frozenset(), ProxyRules(extra=extra))
    configuration = Templates(TEMPLATES, told).render(routing, (), str(folder / "default.pem"), extra)
    for name, content in configuration.files.items():
        (folder / "whole" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "whole" / name).write_bytes(content)
    text = configuration.text.decode()
    sections = {lines.partition("\n")[0]: lines for lines in re.split(r"\n(?=[a-z])", text)}
    return sections, check_configuration(folder / "whole" / "haproxy.cfg").accepted


def raw(text: str) -> Service:
    """A service that brings lines, to a backend for requests and to one for bytes."""
    return service_with("raw", 8002, VIRTUAL_HOST="raw.test", TCP_PORTS="7001", EXTRA_SETTINGS=text)


def others(sections: dict[str, str]) -> dict[str, str]:
    """What is not the backend of "raw", nor names the configuration."""
    return {name: re.sub(r"setenv .*|raw-[0-9a-f]+", "", text) for name, text in sections.items() if "raw" not in name}


@pytest.mark.parametrize("text", ADVERSARIAL)
def test_hostile_lines_cost_nobody_anything(folder: Path, text: str) -> None:
    """The configuration loads, and all that is not the service's own is as it would be without them."""
    shop = service_with("shop", 8001, VIRTUAL_HOST="shop.test")
    without, accepted = whole(folder, shop, raw(""))
    assert accepted
    hostile, accepted = whole(folder, shop, raw(text))
    assert accepted
    assert others(hostile) == others(without)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=5))
@example(["http-request set-header X %[src,ipmask(24)]", "acl a src b"])
def test_any_lines_cost_nobody_anything(folder: Path, lines: list[str]) -> None:
    """Whatever somebody writes, in whatever order."""
    shop = service_with("shop", 8001, VIRTUAL_HOST="shop.test")
    text = "\n".join(line.replace("\n", " ").replace(",", "\\,") for line in lines)
    with_lines, accepted = whole(folder, shop, raw(text))
    assert accepted
    without, _ = whole(folder, shop, raw(""))
    assert others(with_lines) == others(without)


OWN = ("EXTRA_GLOBAL_SETTINGS", "EXTRA_DEFAULT_SETTINGS", "EXTRA_FRONTEND_SETTINGS_80", "ADDITIONAL_BACKEND_a")
ODD_OF_GLOBAL = [
    "crt-base /nowhere",
    "zero-warning",
    "maxconn 0",
    "nbthread 0",
    "ca-base x",
    "tune.bufsize 1",
    "strict-limits",
]


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(OWN), st.lists(LINES, max_size=4), max_size=3))
@example({"EXTRA_GLOBAL_SETTINGS": ODD_OF_GLOBAL, "EXTRA_DEFAULT_SETTINGS": ["mode tcp", "retries 0"]})
@example({"EXTRA_GLOBAL_SETTINGS": ["crt-base /nowhere"], "EXTRA_FRONTEND_SETTINGS_80": ["acl challenge always_true"]})
def test_no_lines_of_the_proxys_own_keep_it_from_starting(
    authority: CertificateAuthority, told: dict[str, list[str]]
) -> None:
    """Whatever the operator writes, there is a configuration that HAProxy starts on, with all services in it."""
    environment = {name: "\n".join(lines).replace(",", "\\,") for name, lines in told.items()}
    with proxy_in_a_folder(
        authority, **{name: text for name, text in environment.items() if "\0" not in text}
    ) as proxy:
        proxy.deployment.remember((service_with("shop", 8001, VIRTUAL_HOST="shop.test"),))
        proxy.another_agent(proxy.settings).prepare()
        (proxy.settings.run_folder / "servers.state").write_text("1\n")
        assert check_configuration(proxy.deployment.configuration).accepted
        assert b"# shop\n" in proxy.deployment.files()["haproxy.cfg"]


@pytest.mark.parametrize("old", [old for old, new in TRANSLATED if new])
def test_haproxy_takes_every_line_that_was_translated(folder: Path, old: str) -> None:
    """In the section where it used to stand."""
    (folder / "lines").write_text(old)
    variable = "EXTRA_GLOBAL_SETTINGS_FILE" if old.startswith("ssl-") else "ADDITIONAL_BACKEND_FILE_old"
    trials = Trials(agent_settings.load({variable: str(folder / "lines")}), folder, check_configuration)
    extra = trials.extra(())
    assert [str(item) for item in extra.skipped if "is not used" in str(item)] == []
    assert extra.lines("global") or extra.lines("backend", "old")


@pytest.mark.parametrize("line", HARMLESS)
def test_haproxy_takes_what_containers_may_say(folder: Path, line: str) -> None:
    """With what a line of them refers to."""
    table = "stick-table type ip size 1k store http_req_rate(10s)"
    text = "\n".join([*([] if line.startswith("stick-table") else [table]), "option httpchk", line])
    trials = Trials(agent_settings.load({}), folder, check_configuration)
    extra = trials.extra((service_with("raw", 80, VIRTUAL_HOST="raw.test", EXTRA_SETTINGS=text.replace(",", "\\,")),))
    assert extra.skipped == ()


def with_lines(name: str, port: int, text: str, created: int = 0) -> Service:
    """A service on this host that brings lines."""
    told = {"VIRTUAL_HOST": f"{name}.test", "EXTRA_SETTINGS": text}
    return Service(name, (Container(f"{name}-1", told, (port,), ip_address("127.0.0.1"), created=created),))


def test_a_bad_line_of_three_is_named_and_the_two_others_work(proxy: Proxy, shop: Origin) -> None:
    """And go when the container says something else."""
    lines = "http-response set-header X-Team blue,http-response nonsense,http-response set-header X-Shift night"
    proxy.serve(with_lines("shop", shop.port, lines), service("blog", "blog.test", shop.port))
    status = proxy.look()
    (problem,) = status.problems
    assert problem.startswith("shop: EXTRA_SETTINGS: 'http-response nonsense' is not used: ")
    headers = proxy.plain("shop.test").headers
    assert (headers["x-team"], headers["x-shift"]) == ("blue", "night")
    assert "x-team" not in proxy.plain("blog.test").headers
    proxy.serve(with_lines("shop", shop.port, "http-response set-header X-Team red"))
    assert proxy.look().problems == ()
    assert proxy.plain("shop.test").headers["x-team"] == "red"


def test_lines_that_depend_on_each_other_work_together(proxy: Proxy, shop: Origin) -> None:
    """An acl and a rule that asks it."""
    lines = "acl secret path_beg /secret,http-request deny if secret"
    proxy.serve(with_lines("shop", shop.port, lines))
    assert proxy.look().problems == ()
    assert (proxy.plain("shop.test").status, proxy.plain("shop.test", "/secret/x").status) == (200, 403)


def test_words_reach_haproxy_as_they_were_judged(proxy: Proxy, shop: Origin) -> None:
    """Quotes, backslashes, dollars and sharps among them."""
    odd = ["a'b", 'a"b', "a\\b", "a#b", "a$b", "${HOME}", "a  b", "a\\ b", "'\"\\$#", "\\n", "a\\"]
    lines = "\n".join(
        write_line(["http-response", "set-header", f"X-Odd-{number}", value]) for number, value in enumerate(odd)
    )
    proxy.serve(with_lines("shop", shop.port, lines))
    assert proxy.look().problems == ()
    headers = proxy.plain("shop.test").headers
    assert [headers[f"x-odd-{number}"] for number in range(len(odd))] == odd


def test_the_newest_container_of_a_pool_decides(proxy: Proxy, shop: Origin, blog: Origin) -> None:
    """And those that say otherwise are told."""
    old, new = (
        with_lines("shop", origin.port, f"http-response set-header X-Age {age}", age).containers[0]
        for age, origin in ((1, shop), (2, blog))
    )
    newer = Container("shop-2", new.settings, new.exposed_ports, new.address, created=2)
    proxy.serve(Service("shop", (old, newer)))
    assert proxy.look().problems == (
        "shop: its containers disagree on extra settings: what the newest, shop-2, says counts",
    )
    assert {proxy.plain("shop.test").headers["x-age"] for _ in range(4)} == {"2"}


def test_lines_that_only_fail_together_are_left_out(authority: CertificateAuthority, shop: Origin) -> None:
    """Those that HAProxy complains of; everybody is served, and a start from nothing comes up too."""
    with proxy_in_a_folder(authority, EXTRA_SETTINGS_POLICY="open") as proxy:
        proxy.boot()
        first = with_lines("first", shop.port, "id 4077,http-response set-header X-A 1")
        second = with_lines("second", shop.port, "id 4077,http-response set-header X-B 1")
        proxy.serve(first, second)
        proxy.look()
        status = proxy.look()
        (problem,) = status.problems
        assert problem.startswith("EXTRA_SETTINGS: 'id 4077, http-response set-header X-")
        assert "left out for now, HAProxy refuses the configuration that holds them: " in problem
        answers = [proxy.plain(host) for host in ("first.test", "second.test")]
        assert [answer.status for answer in answers] == [200, 200]
        assert len([answer for answer in answers if {"x-a", "x-b"}.intersection(answer.headers)]) == 1
        worker = proxy.worker
        assert proxy.look().problems == (problem,)
        assert proxy.worker == worker
        proxy.kill()
        proxy.another_agent(proxy.settings).prepare()
        proxy.start()
        assert proxy.plain("first.test").status == proxy.plain("second.test").status == 200


def test_the_proxys_own_lines_stand_where_they_belong(authority: CertificateAuthority, shop: Origin) -> None:
    """A bad one is named, and HAProxy starts all the same."""
    with proxy_in_a_folder(authority) as first, reserved_port() as further:
        port = first.settings.http_port
        told = {
            "EXTRA_GLOBAL_SETTINGS": "nonsense,tune.maxrewrite 2048",
            "EXTRA_DEFAULT_SETTINGS": "retries 5",
            f"EXTRA_FRONTEND_SETTINGS_{port}": "acl old path_beg /old,use_backend legacy if old,"
            "http-response set-header X-Front yes",
            "ADDITIONAL_BACKEND_legacy": f"server shop 127.0.0.1:{shop.port},http-response set-header X-Legacy yes",
            f"EXTRA_FRONTEND_SETTINGS_{further}": "use_backend legacy",
            "EXTRA_BIND_SETTINGS": f"{port}:tcp-ut 30s",
        }
        environment = {"HTTP_PORT": str(port), "HTTPS_PORT": str(first.settings.https_port)}
        with proxy_in_a_folder(authority, **environment, **told) as proxy:
            proxy.serve(service("shop", "shop.test", shop.port))
            proxy.boot()
            (problem,) = proxy.look().problems
            assert problem.startswith("EXTRA_GLOBAL_SETTINGS: 'nonsense' is not used: HAProxy says unknown keyword")
            assert proxy.plain("shop.test").headers["x-front"] == "yes"
            answer = proxy.plain("other.test", "/old/x")
            assert (answer.status, answer.headers["x-legacy"]) == (200, "yes")
            connection = http.client.HTTPConnection("127.0.0.1", further, timeout=10)
            connection.request("GET", "/", headers={"Host": "any.test"})
            assert connection.getresponse().headers["X-Legacy"] == "yes"
            connection.close()
            assert "tune.maxrewrite 2048" in (proxy.settings.state_folder / "current/haproxy.cfg").read_text()
