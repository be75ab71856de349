"""proxy_agent.routing.lookup; what HAProxy makes of it stands in tests/haproxy."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from proxy_agent.routing.lookup import Lookup, compile_lookup
from proxy_agent.routing.model import Place, Rule
from proxy_agent.routing.paths import parse_item_path, parse_virtual_path
from proxy_agent.routing.virtual_host import parse_virtual_host


def rule(item: str, weight: int = 0, path: str = "", implicit: bool = False) -> Rule:
    """A rule of the plain listener, answered by a backend called like its item."""
    (entry,) = parse_virtual_host(item)
    pattern = parse_virtual_path(path) if path else entry.path
    place = Place("plain", entry.host, pattern, entry.port, entry.scheme == "ws")
    return Rule(place, weight, "shop", implicit=implicit)


def names(*rules: Rule) -> Mapping[str, str]:
    """The map of hosts."""
    return compile_lookup(rules).names["plain"]


def stages(lookup: Lookup) -> list[str]:
    """What is asked in turn, by its key or its prefix."""
    return [stage.key or f"{stage.prefix}{stage.labels or ''}" for stage in lookup.frontends[0].stages]


def test_a_host_is_a_line() -> None:
    """Patterns of names stand beside names, in one map that a runtime command can exchange."""
    assert names(rule("a.test"), rule("*.a.test"), rule("*")) == {"*": "shop", "*.a.test": "shop", "a.test": "shop"}


def test_paths_are_lines_under_their_host() -> None:
    """Whole paths beside the hosts, beginnings in a map of their own."""
    lookup = compile_lookup((rule("a.test"), rule("a.test/X"), rule("a.test/y/*")))
    assert lookup.names["plain"] == {"a.test": "@", "a.test=*": "shop", "a.test~/x": "shop"}
    assert lookup.paths["plain"] == {"a.test~/y/": "shop"}


def test_what_virtual_path_leaves_out_is_not_found() -> None:
    """And whoever leaves out a slash is told."""
    assert names(rule("a.test", path="/app/", implicit=True)) == {
        "a.test": "@",
        "a.test=*": "not_found",
        "a.test=/app": "add_slash",
    }


def test_stages_come_in_one_order() -> None:
    """Weights, then kinds of hosts, the longest ending first, and websockets before the rest."""
    rules = [
        rule("*"),
        rule("x*y"),
        rule("*.a.test"),
        rule("*.test"),
        rule("a.test"),
        rule("ws://b.test"),
        rule("c", 5),
    ]
    lookup = compile_lookup([*rules, rule("c", 5)])
    glob = next(stage.key for stage in lookup.frontends[0].stages if stage.expression)
    assert stages(lookup) == ["5|", "ws|", "", "2", "1", glob, "*"]


def test_without_patterns_there_is_one_stage() -> None:
    """However many hosts there are, they cost a request one look-up."""
    lookup = compile_lookup([rule(f"h{number}.test") for number in range(1000)])
    assert stages(lookup) == [""]


def test_what_goes_to_lines_keeps_its_order() -> None:
    """Expressions first, then beginnings and globs, the longest head first."""
    rules = [rule("a.test", path="/p"), rule("a.test/p/*.js"), rule("a.test", path="~ x$")]
    (stage,) = compile_lookup(rules).frontends[0].stages
    assert [line.expression for line in stage.lines] == ["x$", r"^/p/.*\x2ejs$", "^/p"]


RULES = [
    *(
        rule(item)
        for item in ("a.test", "a.test/p", "a.test/*.js", "ws://a.test", "*.a.test", "*", "/p", "~x", "a.test:81")
    ),
    *(rule("a.test", weight, "/api/") for weight in (0, 5, -5)),
]


@given(st.permutations(RULES))
def test_the_order_of_rules_decides_nothing(rules: list[Rule]) -> None:
    """Their own order does."""
    assert compile_lookup(rules) == compile_lookup(RULES)


def test_a_pattern_reads_as_it_is_written() -> None:
    """For people: the log, the status."""
    assert str(parse_item_path("/p/*")) == "/p/*"
    assert [str(parse_virtual_path(text)) for text in ("= /x", "^~ /x", "~ x", "~* x")] == ["/x", "^~/x", "~x", "~*x"]
