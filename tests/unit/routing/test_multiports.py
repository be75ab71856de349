"""proxy_agent.routing.multiports."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_agent.routing.multiports import parse_multiports

YAML = """
a.test:
  "/":
    port: 8000
  /api/: {port: 9000, proto: https, dest: /}
b.test:
"""
JSON = '{"a.test": {"/": {"port": 8000}, "/api/": {"port": 9000, "proto": "https", "dest": "/"}}, "b.test": null}'


@pytest.mark.parametrize("text", [YAML, JSON])
def test_yaml_and_json_say_the_same(text: str) -> None:
    """Hosts, below them paths, below them how each is reached."""
    routes, skipped = parse_multiports(text)
    assert skipped == ()
    told = [
        (str(route.entry.host), str(route.path), route.reach.port, route.reach.proto, route.destination)
        for route in routes
    ]
    assert told == [
        ("a.test", "", 8000, "http", ""),
        ("a.test", "/api/*", 9000, "https", "/"),
        ("b.test", "", None, "http", ""),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [", "it is neither YAML nor JSON"),
        ("[" * 800, "it is neither YAML nor JSON"),
        ("- a.test", "the whole value is not a mapping"),
        ("a.test: 80", "what is below 'a.test' is not a mapping"),
        ("a.test: {/: {port: x}}", "'/' of 'a.test': 'x' is not a port"),
        ("a.test: {/: {port: [1]}}", "single words"),
        ("a.test: {/: {prot: http}}", "'prot' is not known: write port, proto or dest"),
        ("a.test: {/: {proto: uwsgi}}", "'uwsgi' is not spoken by HAProxy"),
        ("a.test: {/: {dest: x}}", "'x' is not a path"),
        ("https://a.test: {/: {}}", "is more than a host"),
        ("a.test:80: {/: {}}", "is more than a host"),
        ("{/path: {/: {}}}", "is more than a host"),
        ("a" * 20_000, "longer than 16384 characters"),
    ],
)
def test_what_cannot_be_served_has_a_reason(text: str, fault: str) -> None:
    """It costs that path, that host or, where nothing can be read, the container."""
    routes, (reason, *_) = parse_multiports(text)
    assert routes == ()
    assert fault in str(reason)


def test_a_key_that_is_no_path_is_not_used() -> None:
    """What is beside it is served."""
    routes, (reason,) = parse_multiports("a.test: {~ ^/x: {port: 1}, /y: {port: 2}}")
    assert [str(route.path) for route in routes] == ["/y*"]
    assert reason.reason == "'~ ^/x' below 'a.test' is not used"


@given(st.text() | st.text(alphabet="a.:/{}[]\"'-&*!|> \n,?0~#%", max_size=60))
@example("&a [*a]")
@example("!!python/object/apply:os.system [ls]")
@example("? [a]\n: b")
@example("a: &x {/: *x}")
def test_any_text_becomes_routes_or_reasons(text: str) -> None:
    """Whatever a container writes there, nothing else comes of it."""
    routes, skipped = parse_multiports(text)
    assert all(re.fullmatch(r"[!-~]*", f"{route.path}{route.destination}") for route in routes)
    assert all(reason.what == "VIRTUAL_HOST_MULTIPORTS" for reason in skipped)
