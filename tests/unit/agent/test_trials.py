"""proxy_agent.trials: where raw lines come from, and how often HAProxy is asked about them."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from proxy_agent import settings as agent_settings
from proxy_agent.daemon.errors import OperationalError
from proxy_agent.routing.model import Container, Service
from proxy_agent.runtime import Verdict
from proxy_agent.trials import Trials

ALERT = (
    "[NOTICE]   (8) : haproxy version is 3.0.11\n[ALERT]    (8) : config : parsing [{}:9] : unknown keyword 'wrong'.\n"
)


class FakeHaproxy:
    """Refuses what holds the word "wrong", and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.word, self.alert = "wrong", ALERT

    def check(self, configuration: Path) -> Verdict:
        """What it thinks of a file."""
        self.asked += 1
        assert configuration.stat().st_mode & 0o077 == 0, "it may hold secrets"
        return Verdict(self.word not in configuration.read_text(), self.alert.format(configuration))


@pytest.fixture
def haproxy() -> FakeHaproxy:
    """A program."""
    return FakeHaproxy()


def trials(haproxy: FakeHaproxy, folder: Path, **environment: str) -> Trials:
    """Trials of what is set."""
    return Trials(agent_settings.load(environment), folder / "run", haproxy.check)


def service(text: str) -> Service:
    """A service that brings lines."""
    container = Container("a-1", {"VIRTUAL_HOST": "a.test", "EXTRA_SETTINGS": text}, (80,), ip_address("10.0.0.1"))
    return Service("a", (container,))


def test_a_look_at_what_was_tried_before_costs_nothing(haproxy: FakeHaproxy, tmp_path: Path) -> None:
    """For as long as it stands there: what went and comes again is tried again."""
    tried = trials(haproxy, tmp_path)
    first = tried.extra((service("acl wrong path /,option httpclose"),))
    asked = haproxy.asked
    assert (asked, tried.extra((service("acl wrong path /,option httpclose"),)), haproxy.asked) == (3, first, 3)
    tried.extra(())
    tried.extra((service("acl wrong path /,option httpclose"),))
    assert haproxy.asked == 2 * asked


def test_the_reason_is_haproxys_without_the_place_in_a_file_that_nobody_sees(
    haproxy: FakeHaproxy, tmp_path: Path
) -> None:
    """And nothing of the file is left."""
    extra = trials(haproxy, tmp_path).extra((service("acl wrong path /"),))
    assert [str(item) for item in extra.skipped] == [
        "a: EXTRA_SETTINGS: 'acl wrong path /' is not used: HAProxy says unknown keyword 'wrong'"
    ]
    assert list((tmp_path / "run").iterdir()) == []


def test_a_host_that_nobody_knew_is_asked_for_again(haproxy: FakeHaproxy, tmp_path: Path) -> None:
    """Its name server may have come back; meanwhile the line is left out."""
    haproxy.word, haproxy.alert = "late.test", "[ALERT] (8) : config : could not resolve address 'late.test'"
    tried = trials(haproxy, tmp_path, ADDITIONAL_BACKEND_a="server late late.test:80")
    assert tried.extra(()).lines("backend", "a") == ()
    haproxy.word = "nothing"
    looks = [tried.extra(()).lines("backend", "a") for _ in range(10)]
    assert (looks[0], looks[-1]) == ((), ("server late late.test:80",))


def test_lines_come_from_variables_and_then_from_files(haproxy: FakeHaproxy, tmp_path: Path) -> None:
    """Of each section."""
    (tmp_path / "lines").write_text("# why\ntimeout client 5s\n\ntimeout server 5s\n")
    extra = trials(
        haproxy,
        tmp_path,
        EXTRA_DEFAULT_SETTINGS="retries 5",
        EXTRA_DEFAULT_SETTINGS_FILE=str(tmp_path / "lines"),
        EXTRA_FRONTEND_SETTINGS_8080="option httpclose",
        EXTRA_FRONTEND_SETTINGS_FILE_8080=str(tmp_path / "lines"),
        ADDITIONAL_BACKEND_a="balance source",
        ADDITIONAL_BACKEND_FILE_b=str(tmp_path / "lines"),
        EXTRA_BIND_SETTINGS="80:tfo,443:alpn h2\\,http/1.1,443:strict-sni",
    ).extra(())
    from_file = ("timeout client 5s", "timeout server 5s")
    assert extra.lines("defaults") == ("retries 5", *from_file)
    assert extra.lines("frontend", 8080) == ("option httpclose", *from_file)
    assert (extra.lines("backend", "a"), extra.lines("backend", "b")) == (("balance source",), from_file)
    assert (extra.lines("bind", 80), extra.lines("bind", 443)) == (("tfo",), ("alpn h2,http/1.1", "strict-sni"))
    assert extra.skipped == ()


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("EXTRA_FRONTEND_SETTINGS_X", "a", "'X' is not a port: write one number from 1 to 65535"),
        ("EXTRA_FRONTEND_SETTINGS_080", "a", "'080' is not a port: it begins with 0"),
        ("EXTRA_BIND_SETTINGS", "strict-sni", "'strict-sni' is not a port: write one number from 1 to 65535"),
        ("EXTRA_BIND_SETTINGS", "80:", "write port:words, such as 443:strict-sni"),
        ("EXTRA_GLOBAL_SETTINGS", "wrong", "'wrong' is not used: HAProxy says unknown keyword 'wrong'"),
        ("EXTRA_GLOBAL_SETTINGS_FILE", "/nowhere", "cannot read /nowhere: No such file or directory"),
        (
            "ADDITIONAL_BACKEND_no_route",
            "a",
            "no backend can be called 'no_route': write up to 40 letters, digits and underscores, "
            "and none of add_slash, letsencrypt, no_route, not_found",
        ),
        (
            "ADDITIONAL_BACKEND_a-b",
            "a",
            "no backend can be called 'a-b': write up to 40 letters, digits and underscores, "
            "and none of add_slash, letsencrypt, no_route, not_found",
        ),
    ],
)
def test_what_cannot_be_used_is_said_and_the_rest_goes_on(
    haproxy: FakeHaproxy, tmp_path: Path, variable: str, value: str, problem: str
) -> None:
    """It never keeps HAProxy from starting."""
    extra = trials(haproxy, tmp_path, **{variable: value, "EXTRA_DEFAULT_SETTINGS": "retries 5"}).extra(())
    assert [str(item) for item in extra.skipped] == [f"{variable}: {problem}"]
    assert extra.lines("defaults") == ("retries 5",)


@pytest.mark.parametrize(
    ("content", "problem"), [(b"\xff", "is not text in UTF-8"), (b"a" * 65537, "is larger than 65536 bytes")]
)
def test_a_file_that_is_no_text_is_not_used(haproxy: FakeHaproxy, tmp_path: Path, content: bytes, problem: str) -> None:
    """Nor one that never ends."""
    (tmp_path / "lines").write_bytes(content)
    extra = trials(haproxy, tmp_path, EXTRA_GLOBAL_SETTINGS_FILE=str(tmp_path / "lines")).extra(())
    assert [str(item) for item in extra.skipped] == [f"EXTRA_GLOBAL_SETTINGS_FILE: {tmp_path / 'lines'} {problem}"]


def test_a_folder_that_cannot_be_written_is_an_operational_error(haproxy: FakeHaproxy, tmp_path: Path) -> None:
    """The next look tries again."""
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(OperationalError, match="Cannot write below"):
        trials(haproxy, tmp_path).extra((service("option httpclose"),))
