"""Raw lines on their way into the configuration, with a HAProxy that refuses what a test tells it to."""

from collections.abc import Callable, Iterable
from ipaddress import ip_address

from proxy_agent.routing.extra import Extra, Policy, Section, Text, sift
from proxy_agent.routing.model import Container, Service


class FakeHaproxy:
    """Refuses configurations that hold one of some lines, and counts."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[str] = []

    def refusal(self, text: str) -> str:
        """Why it does."""
        self.asked.append(text)
        return next((f"'{line}' is wrong" for line in self.refused if line in text.split("\n")), "")


def service(name: str, *texts: str) -> Service:
    """A service with a container for each EXTRA_SETTINGS, each newer than the one before."""
    return Service(
        name,
        tuple(
            Container(
                f"{name}-{number}",
                {"VIRTUAL_HOST": f"{name}.test", "EXTRA_SETTINGS": text},
                (80,),
                ip_address("10.0.0.1"),
                created=number,
            )
            for number, text in enumerate(texts, start=1)
        ),
    )


def sifted(
    services: Iterable[Service] = (),
    own: dict[Section, Text] | None = None,
    policy: Policy = "strict",
    refusal: Callable[[str], str] = lambda _: "",
) -> Extra:
    """What remains."""
    return sift(own or {}, services, policy, refusal, "5ec2e7")


def told(extra: Extra) -> list[str]:
    """What is said of the rest."""
    return [str(item) for item in extra.skipped]


def test_good_lines_are_tried_together() -> None:
    """One check for the whole block."""
    haproxy = FakeHaproxy()
    extra = sifted([service("shop", "option httpclose,timeout server 5m")], refusal=haproxy.refusal)
    assert extra.of_containers == {
        "option httpclose,timeout server 5m": ("option httpclose", "timeout server 5m"),
    }
    assert extra.skipped == ()
    assert len(haproxy.asked) == 1
    assert "backend trial-5ec2e7\noption httpclose\ntimeout server 5m\nserver trial" in haproxy.asked[0]


def test_a_line_that_haproxy_refuses_costs_itself() -> None:
    """The others are used, and each is tried with those before it, which it may need."""
    haproxy = FakeHaproxy("timeout server x")
    text = "acl a path /a,timeout server x,http-request deny if a"
    extra = sifted([service("shop", text)], refusal=haproxy.refusal)
    assert extra.of_containers[text] == ("acl a path /a", "http-request deny if a")
    assert told(extra) == [
        "shop: EXTRA_SETTINGS: 'timeout server x' is not used: HAProxy says 'timeout server x' is wrong"
    ]
    assert "acl a path /a\nhttp-request deny if a\n" in haproxy.asked[-1]


def test_a_line_that_is_not_for_containers_is_never_tried() -> None:
    """Nor is one that opens a section."""
    haproxy = FakeHaproxy()
    text = "frontend x\nserver a 127.0.0.1:1\noption httpclose"
    extra = sifted([service("shop", text)], refusal=haproxy.refusal)
    assert extra.of_containers[text] == ("option httpclose",)
    assert len(extra.skipped) == 2
    assert all("127.0.0.1:1\noption" not in asked and "frontend x" not in asked for asked in haproxy.asked)


def test_an_old_line_is_told_with_its_new_form() -> None:
    """Once, whatever number of containers has it."""
    extra = sifted([service("shop", r"reqadd X-Team:\ blue", r"reqadd X-Team:\ blue")])
    assert told(extra) == [
        r"shop: EXTRA_SETTINGS: 'reqadd X-Team:\ blue' was for older versions of HAProxy, "
        "it becomes 'http-request add-header X-Team blue'"
    ]
    assert extra.of_containers[r"reqadd X-Team:\ blue"] == ("http-request add-header X-Team blue",)


def test_a_translated_line_is_judged_too() -> None:
    """What it becomes may still not be for containers."""
    extra = sifted([service("shop", "clitimeout 5000")])
    assert told(extra) == [
        "shop: EXTRA_SETTINGS: 'clitimeout 5000' is not used: "
        "timeout client is not for containers; TIMEOUT_CLIENT is for that"
    ]


def test_an_open_policy_leaves_the_judgement_to_haproxy() -> None:
    """Sections excepted."""
    text = "filter compression,frontend x"
    extra = sifted([service("shop", text)], policy="open")
    assert extra.of_containers[text] == ("filter compression",)
    assert len(extra.skipped) == 1


def test_the_policy_off_takes_nothing() -> None:
    """And says so."""
    extra = sifted([service("shop", "option httpclose")], policy="off")
    assert extra.of_containers == {"option httpclose": ()}
    assert told(extra) == ["shop: EXTRA_SETTINGS: not used, as EXTRA_SETTINGS_POLICY is off"]


def test_a_text_that_is_too_long_is_not_used() -> None:
    """Nor more lines than anybody needs."""
    long, many = "a" * 8193, ",".join(f"timeout server {n}s" for n in range(1, 102))
    extra = sifted([service("long", long), service("many", many)])
    assert (extra.of_containers[long], len(extra.of_containers[many])) == ((), 100)
    assert told(extra) == [
        "long: EXTRA_SETTINGS: not used, it is longer than 8192 characters",
        "many: EXTRA_SETTINGS: only the first 100 lines are used",
    ]


def test_containers_that_ask_for_no_route_bring_nothing() -> None:
    """They have no backend."""
    alone = Service("db", (Container("db-1", {"EXTRA_SETTINGS": "option httpclose"}, (80,), None),))
    assert sifted([alone]) == Extra()


def test_the_proxys_own_lines_are_tried_in_the_light_of_those_before() -> None:
    """Frontends may use its further backends, and containers what ``global`` allows."""
    haproxy = FakeHaproxy("bad")
    own = {
        Section("frontend", "80"): Text("EXTRA_FRONTEND_SETTINGS_80", ("use_backend a if { path /a }", "bad")),
        Section("frontend", "81"): Text("EXTRA_FRONTEND_SETTINGS_81", ("option httpclose",)),
        Section("backend", "a"): Text("ADDITIONAL_BACKEND_a", ("server a 10.0.0.1:80",)),
        Section("global"): Text("EXTRA_GLOBAL_SETTINGS", ("nbproc 2", "maxconn 100")),
        Section("bind", "443"): Text("EXTRA_BIND_SETTINGS", ("strict-sni process 1 no-sslv3",)),
    }
    extra = sifted([service("shop", "timeout server 5m")], own, refusal=haproxy.refusal)
    assert extra.lines("global") == ("maxconn 100",)
    assert extra.lines("backend", "a") == ("server a 10.0.0.1:80",)
    assert extra.lines("frontend", 80) == ("use_backend a if { path /a }",)
    assert extra.lines("bind", 443) == ("strict-sni ssl-min-ver TLSv1.2",)
    assert extra.lines("frontend", 443) == ()
    assert (extra.ports, extra.names("backend")) == ((80, 81), ("a",))
    assert "EXTRA_FRONTEND_SETTINGS_80: 'bad' is not used: HAProxy says 'bad' is wrong" in told(extra)
    assert all(text.startswith("global\nmaxconn 100\n") for text in haproxy.asked)
    for_81 = next(text for text in haproxy.asked if "option httpclose" in text)
    assert "backend a\nserver a 10.0.0.1:80\n" in for_81
    assert "use_backend a if" not in for_81
    assert "backend a\n" not in haproxy.asked[-1], "a container may not refer to it"


def test_without_lines_all_is_as_if_none_had_been_written() -> None:
    """And why is said."""
    extra = sifted([service("shop", "option httpclose")])
    assert extra.has_lines
    nothing = extra.left_out("it has its reasons", frozenset())
    assert nothing == Extra(skipped=nothing.skipped)
    assert told(nothing) == [
        "raw settings: left out for now, HAProxy refuses the configuration that holds them: it has its reasons"
    ]
    assert not nothing.has_lines


def test_without_some_lines_the_others_stay() -> None:
    """Those of whom HAProxy does not complain."""
    extra = sifted([service("shop", "option httpclose"), service("blog", "retries 5")])
    rest = extra.left_out("it has its reasons", {("retries 5",)})
    assert rest.of_containers == {"option httpclose": ("option httpclose",)}
    assert told(rest) == [
        "EXTRA_SETTINGS: 'retries 5' left out for now, "
        "HAProxy refuses the configuration that holds them: it has its reasons"
    ]


def test_a_backend_for_bytes_gets_the_lines_that_mean_something_there() -> None:
    """Rules about requests are for the service's other backends."""
    text = "http-response set-header A b,timeout server 5m,option httpclose"
    extra = sifted([service("shop", text)])
    assert extra.of(text, tcp=True) == ("timeout server 5m",)
    assert len(extra.of(text, tcp=False)) == 3
    assert extra.of("unknown", tcp=False) == ()
