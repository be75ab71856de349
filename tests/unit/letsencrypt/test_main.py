"""What the container says when it starts."""

import logging

import pytest
from click.testing import CliRunner

from letsencrypt.__main__ import main, tell_settings
from letsencrypt.settings import load


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {},
            ["DOMAINS is not set: certificates are obtained for the VIRTUAL_HOST names of containers, as they start."],
        ),
        (
            {"AUTO_DOMAINS": "no"},
            ["There is nothing to do: set DOMAINS to the names that need certificates, like www.example.com."],
        ),
        (
            {"DOMAINS": "a.example"},
            ["EMAIL is not set, so the CA has no way to write to you about the account."],
        ),
        ({"DOMAINS": "a.example", "EMAIL": "me@example.com"}, []),
        (
            {"DOMAINS": "a.example, b_c", "EMAIL": "me@example.com"},
            ["DOMAINS: skipped b_c: not a host name: 'b_c' holds a character other than letters, digits and '-'."],
        ),
        (
            {"DOMAINS": "a.example", "EMAIL": "me@example.com", "OPTIONS": "-d x"},
            ["OPTIONS -d: list the names in DOMAINS instead. No certificate is ordered until OPTIONS is changed."],
        ),
    ],
)
def test_the_settings_are_commented_once(
    environ: dict[str, str], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Each thing that is not done, or should be set, is one line; where all is well there is none."""
    caplog.set_level(logging.INFO)
    tell_settings(load(environ))
    assert caplog.messages == told


def test_bad_settings_end_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be used is said on standard error, with exit status 2."""
    monkeypatch.setenv("LOG_LEVEL", "loud")
    result = CliRunner().invoke(main, ["healthcheck"])
    assert result.exit_code == 2
    assert result.stderr.startswith("LOG_LEVEL='loud' cannot be used: ")
