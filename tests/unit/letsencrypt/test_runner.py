"""What kind of ending a certbot run had, by the report of its process."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.forks import GRACE, TIME_LIMIT
from letsencrypt.health import STEP
from letsencrypt.report import Report
from letsencrypt.runner import Outcome, classify, plain
from letsencrypt.schedule import Failure
from proxy_agent.daemon.errors import Skipped

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def outcome(kind: str, **fields: Any) -> Outcome:
    """The outcome of a run that reports so."""
    return classify(Report.model_validate({"rc": 1, "class": kind, **fields}), NOW)


def answer(status: int, retry_after: str | None = None) -> dict[str, Any]:
    """An answer of the CA that was an error."""
    return {"status": status, "retry_after": retry_after, "url": "https://ca.example/new-order"}


def test_a_run_without_error_is_no_failure() -> None:
    """What certbot is content with is content here."""
    assert outcome("ok", rc=0, secs=0.3) == Outcome(secs=0.3)


@pytest.mark.parametrize(
    ("kind", "code", "failure"),
    [
        ("usage", "UsageError", Failure.USAGE),
        ("lock", "LockError", Failure.LOCK),
        ("authz", "AuthorizationError", Failure.VALIDATION),
        ("network", "ConnectionError", Failure.NETWORK),
        ("crash", "ValueError", Failure.CRASH),
        ("certbot", "MissingCommandlineFlag", Failure.REFUSED),
        ("certbot", "Error", Failure.REFUSED),
        ("certbot", "AccountStorageError", Failure.ACCOUNT),
        ("certbot", "AccountNotFound", Failure.ACCOUNT),
        ("certbot", "CertStorageError", Failure.CRASH),
        ("acme", "badNonce", Failure.NONCE),
        ("acme", "serverInternal", Failure.NETWORK),
        ("acme", "someFutureError", Failure.SERVER),
        ("acme", "caa", Failure.VALIDATION),
        ("acme", "dns", Failure.VALIDATION),
        ("acme", "rejectedIdentifier", Failure.REFUSED),
        ("acme", "invalidProfile", Failure.REFUSED),
        ("acme", "externalAccountRequired", Failure.REFUSED),
        ("acme", "accountDoesNotExist", Failure.ACCOUNT),
        ("acme", "unauthorized", Failure.ACCOUNT),
        ("something new", "", Failure.CRASH),
    ],
)
def test_each_ending_is_a_kind_of_failure(kind: str, code: str, failure: Failure) -> None:
    """The class of the exception and the CA's error type decide, never words made for people."""
    assert outcome(kind, code=code, detail="words").failure is failure


def test_what_fails_before_an_order_would_fail_for_all() -> None:
    """An error inside the CA, or too many requests without a word on a limit: then all wait, else one lineage."""
    busy = outcome("acme", code="rateLimited", detail="slow down", http=[answer(429, "5")])
    assert (busy.failure, busy.retry_after) == (Failure.BUSY, timedelta(seconds=5))
    assert outcome("network", http=[answer(429)]).failure is Failure.BUSY
    words = "too many accounts: see https://letsencrypt.org/docs/rate-limits/#new-registrations-per-ip-address"
    assert outcome("acme", code="rateLimited", detail=words).failure is Failure.RATE_LIMITED
    assert outcome("acme", code="rateLimited", ordered=True).failure is Failure.RATE_LIMITED
    assert outcome("acme", code="serverInternal", ordered=True).failure is Failure.SERVER


def test_an_error_that_a_run_got_over_decides_nothing() -> None:
    """An answer of another address than that of the end, such as renewal information, says nothing of the end."""
    ended = outcome("network", http=[answer(503, "3600")], url="https://ca.example/another")
    assert (ended.failure, ended.retry_after, ended.url) == (Failure.NETWORK, None, "https://ca.example/another")


@pytest.mark.parametrize("kind", ["acme", "network"])
def test_a_503_is_a_busy_server(kind: str) -> None:
    """Whether it speaks ACME or HTML, a server that answers 503 is busy, for as long as it says."""
    busy = outcome(kind, code="rateLimited", http=[answer(503, "120")])
    assert (busy.failure, busy.retry_after) == (Failure.BUSY, timedelta(minutes=2))


def test_a_rate_limit_carries_its_end() -> None:
    """The date or the seconds of Retry-After reach the schedule."""
    limited = outcome("acme", code="rateLimited", ordered=True, http=[answer(429, "Mon, 01 Jun 2026 13:00:00 GMT")])
    assert (limited.failure, limited.retry_after) == (Failure.RATE_LIMITED, timedelta(hours=1))


def test_a_retry_after_that_is_garbage_is_none() -> None:
    """What cannot be read is passed over, and an earlier answer's value counts."""
    assert outcome("acme", code="rateLimited", http=[answer(429, "soon")]).retry_after is None
    assert outcome("network", http=[answer(500, "60"), answer(500, "soon")]).retry_after == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        *(("network", "ConnectionError"), ("crash", "OSError"), ("certbot", "CertStorageError"), ("certbot", "Error")),
        *(("acme", "serverInternal"), ("acme", "rateLimited"), ("acme", "badNonce")),
    ],
)
def test_once_it_was_asked_for_the_certificate_may_exist(kind: str, code: str) -> None:
    """A failure after finalization that does not tell whether the CA issued counts as an issuance."""
    assert outcome(kind, code=code, finalized=True).failure is Failure.AFTER_FINALIZE


@pytest.mark.parametrize(("code", "failure"), [("caa", Failure.VALIDATION), ("badCSR", Failure.REFUSED)])
def test_a_refused_finalization_issued_nothing(code: str, failure: Failure) -> None:
    """Where the CA says why it does not issue, it did not."""
    assert outcome("acme", code=code, finalized=True).failure is failure


def test_the_ca_is_quoted_for_each_name() -> None:
    """Failed authorizations and subproblems are told by name, in the CA's words."""
    fails = [{"identifier": "a.example", "type": "dns", "detail": "no such name."}]
    sub = [{"identifier": "b.example", "type": "caa", "detail": "forbidden"}, {"type": "x", "detail": "nameless"}]

    assert outcome("authz", fails=fails).names == (Skipped("a.example", "no such name"),)
    assert outcome("acme", code="caa", sub=sub).names == (Skipped("b.example", "forbidden"),)


def test_an_unknown_option_is_named_without_its_value() -> None:
    """What was given to an option that certbot does not know may be a secret."""
    told = outcome("usage", detail="unrecognized arguments: --eab-hmac-kee hunter2 --other=hunter2")
    assert told.detail == "certbot knows no option --eab-hmac-kee, --other"


def test_other_complaints_about_options_are_quoted() -> None:
    """What argparse says about an option it does know is clear enough."""
    told = outcome("usage", detail="argument --key-type: invalid choice: 'dsa' (choose from rsa, ecdsa)")
    assert told.detail == "certbot says argument --key-type: invalid choice: 'dsa' (choose from rsa, ecdsa)"


def test_an_error_without_words_is_told_by_its_kind() -> None:
    """There is always something to say."""
    assert outcome("network", code="ConflictError").detail == "ConflictError"


@given(st.text())
def test_foreign_text_is_one_printable_line(text: str) -> None:
    """Nothing that a CA or a web server sends can break a line of the log, or fill it."""
    line = plain(text)
    assert line.isprintable()
    assert len(line) <= 601


def test_a_run_fits_into_one_step_of_the_health_check() -> None:
    """A run that has to be stopped ends before the container counts as hanging."""
    assert TIME_LIMIT + 3 * GRACE < STEP
