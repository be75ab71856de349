"""Secrets on certbot's command line, which certbot writes into its log."""

from pathlib import Path

import pytest

from letsencrypt.runner import Outcome
from letsencrypt.schedule import Failure
from letsencrypt.secret_options import hidden, run_hidden


@pytest.mark.parametrize(
    "words",
    [
        ["--eab-hmac-key", "c2VjcmV0=="],
        ["--eab-hmac-key=old", "--eab-hmac-k=c2VjcmV0=="],
        ["--eab-hmac-key=c2VjcmV0=="],
    ],
)
def test_the_key_is_in_a_file_while_it_is_needed(words: list[str], tmp_path: Path) -> None:
    """The rest stays as it stands, the last of several counts, and nothing is left behind."""
    with hidden(["certonly", *words, "--eab-kid=1"], tmp_path) as command:
        *rest, option, file = command
        assert (rest, option) == (["certonly", "--eab-kid=1"], "--config")
        assert Path(file).read_text() == "eab-hmac-key = c2VjcmV0==\n"
        assert Path(file).stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


def test_without_a_secret_nothing_is_written(tmp_path: Path) -> None:
    """The command line stays as it is."""
    with hidden(["certonly", "--eab-kid=1"], tmp_path) as command:
        assert command == ["certonly", "--eab-kid=1"]
        assert list(tmp_path.iterdir()) == []


def test_what_could_be_a_second_line_is_no_key(tmp_path: Path) -> None:
    """Nor is it shown: certbot says that there is none."""
    with hidden(["--eab-hmac-key=a\nserver = https://evil.example"], tmp_path) as command:
        assert command == ["--eab-hmac-key="]


def test_a_full_disk_is_a_failure_of_the_run(tmp_path: Path) -> None:
    """Nothing is run without its key."""
    outcome = run_hidden(lambda _: Outcome(), ["--eab-hmac-key=x"], tmp_path / "missing")
    assert outcome.failure is Failure.STORAGE
