"""proxy_agent.daemon.log."""

import json
import logging
from collections.abc import Iterator

import pytest

from proxy_agent.daemon.log import MOST_LINES, Notices, configure

LOGGER = logging.getLogger("tests.notices")


@pytest.fixture
def notices(caplog: pytest.LogCaptureFixture) -> Notices:
    """Notices whose lines are captured."""
    caplog.set_level(logging.INFO)
    return Notices(LOGGER)


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, which is afterwards as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_condition_is_said_once_while_it_lasts(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """A loop that looks every few seconds does not say so every few seconds."""
    for _ in range(3):
        notices.update("files", ["a.pem: no key"])
    assert caplog.messages == ["a.pem: no key"]


def test_what_is_new_is_said_and_what_stays_is_not(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """Each sentence has a life of its own, and they come in order."""
    notices.update("files", ["b", "a"])
    notices.update("files", ["c", "b"])
    assert caplog.messages == ["a", "b", "c"]


def test_the_end_of_all_trouble_is_said_once(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """The operator sees that the repair worked."""
    notices.update("files", ["a"])
    notices.update("files", [])
    notices.update("files", [])
    assert caplog.messages == ["a", "Mended: files"]


def test_what_comes_back_is_said_again(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """A second failure is news."""
    for sentences in (["a"], [], ["a"]):
        notices.update("files", sentences)
    assert caplog.messages == ["a", "Mended: files", "a"]


def test_of_thousands_the_first_are_said_and_that_there_are_more(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there are, and however they come and go, the log stays short."""
    bad = [f"{n:05}.pem: no key" for n in range(10_000)]
    for some in (bad, bad, bad[1:], bad[1:]):
        notices.update("files", some)
    more = f"There is more about files than these {MOST_LINES} lines."
    assert caplog.messages == [*bad[:MOST_LINES], more, bad[MOST_LINES]]


def test_what_there_was_no_line_for_is_said_when_there_is(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """Who mends what the log names is told of the rest."""
    bad = [f"{n:03}.pem: no key" for n in range(MOST_LINES + 2)]
    notices.update("files", bad)
    caplog.clear()
    for some in (bad[2:], []):
        notices.update("files", some)
    assert caplog.messages == [*bad[MOST_LINES:], "Mended: files"]


def test_topics_do_not_mend_each_other(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """Docker that answers again says nothing about files."""
    notices.update("files", ["a"])
    notices.update("Docker", ["b"], logging.ERROR)
    notices.update("Docker", [])
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "a"),
        ("ERROR", "b"),
        ("INFO", "Mended: Docker"),
    ]


def test_nothing_wrong_is_not_worth_a_line(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """Silence is good news."""
    notices.update("files", [])
    assert caplog.messages == []


def test_a_sentence_is_never_taken_for_a_format(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    """What a stranger wrote, per cent signs and braces included, is text."""
    notices.update("files", ["100%s {message} %(levelname)s"])
    assert caplog.messages == ["100%s {message} %(levelname)s"]


@pytest.mark.usefixtures("root_logger")
def test_text_is_a_sentence_after_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    """One line on standard error, for people."""
    configure("text", "info")
    LOGGER.warning("a.pem: no key")
    assert capsys.readouterr().err.endswith(" WARNING a.pem: no key\n")


@pytest.mark.usefixtures("root_logger")
def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for machines; a line break inside stays inside."""
    configure("json", "info")
    LOGGER.warning("a.pem:\nno key")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert said.pop("time")
    assert said == {"level": "WARNING", "logger": "tests.notices", "message": "a.pem:\nno key"}


@pytest.mark.usefixtures("root_logger")
def test_less_important_lines_and_chatty_libraries_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """LOG_LEVEL decides about our own lines; libraries speak up only when something failed."""
    configure("text", "warning")
    LOGGER.info("a.test is served")
    logging.getLogger("urllib3").warning("Retrying")
    assert capsys.readouterr().err == ""
