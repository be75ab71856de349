"""The environment of the letsencrypt container."""

import re
from datetime import timedelta

import pytest

from letsencrypt.events import Kind
from letsencrypt.settings import Settings, load
from proxy_agent.daemon.settings import SettingsError, fields, manual


def test_nothing_has_to_be_set() -> None:
    """An empty environment is fine: there is nothing to do, and everything else has its default."""
    settings = load({})

    assert settings.domains.lineages == ()
    assert settings.email is None
    assert settings.options.directory.host == "acme-v02.api.letsencrypt.org"
    assert settings.load_balancer == "haproxy"
    assert settings.renewal_interval == timedelta(hours=12)
    assert settings.challenge_port == 80


def test_what_is_set_is_parsed() -> None:
    """Each variable becomes a value of its own type."""
    settings = load(
        {
            "DOMAINS": "a.example",
            "EMAIL": "me@example.com,you@example.com",
            "OPTIONS": "--staging",
            "LOAD_BALANCER_SERVICE_NAME": "my_proxy:8080",
            "RENEWAL_INTERVAL": "1m",
        }
    )

    assert [lineage.name for lineage in settings.domains.lineages] == ["a.example"]
    assert settings.options.directory.host == "acme-staging-v02.api.letsencrypt.org"
    assert settings.load_balancer == "my_proxy:8080"
    assert settings.renewal_interval == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EMAIL", "nobody"),
        ("EMAIL", "-x@example.com"),
        ("EMAIL", "a b@example.com"),
        ("LOAD_BALANCER_SERVICE_NAME", "http://haproxy"),
        ("LOAD_BALANCER_SERVICE_NAME", "a b"),
        ("RENEWAL_INTERVAL", "often"),
        ("RENEWAL_INTERVAL", "59s"),
        ("NOTIFY_EVENTS", "everything"),
        ("NOTIFY_EXEC", "notify --now"),
        ("NOTIFY_URL_FILE", "url"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_what_cannot_be_used_is_named(variable: str, value: str) -> None:
    """A bad value is said with its variable and what it accepts."""
    with pytest.raises(SettingsError, match=rf"^{variable}={re.escape(repr(value))} cannot be used: .+\.$"):
        load({variable: value})


def test_who_is_told_of_what() -> None:
    """By default of what somebody has to act on, and of its end."""
    listeners = load({"NOTIFY_URL": "https://a.test/x http://b.test/y"}).listeners
    assert listeners.urls == ("https://a.test/x", "http://b.test/y")
    assert listeners.kinds == {"failing", "expiring", "rate-limited", "recovered"}
    assert load({"NOTIFY_EVENTS": "issued, Renewed"}).listeners.kinds == {"issued", "renewed"}
    assert load({"NOTIFY_EVENTS": "all"}).listeners.kinds == set(Kind) - {Kind.TEST}
    assert load({"NOTIFY_EXEC": "/hooks/notify"}).listeners.program == "/hooks/notify"


@pytest.mark.parametrize("value", ["ftp://a.test/secret", "secret", "https://", "https://a.test:99999/secret"])
def test_what_is_no_webhook_is_said_without_it(value: str) -> None:
    """It may hold a token all the same."""
    with pytest.raises(SettingsError, match=r"^NOTIFY_URL cannot be used: ") as refused:
        load({"NOTIFY_URL": f"https://ok.test/secret {value}"})
    assert "secret" not in str(refused.value)


def test_a_webhook_is_not_shown() -> None:
    """Whoever prints the settings prints no token."""
    settings = load({"NOTIFY_URL": "https://a.test/token"})
    assert "token" not in repr(settings) + repr(settings.listeners)


def test_a_bad_name_or_option_is_no_bad_setting() -> None:
    """DOMAINS and OPTIONS never stop the container: what is wrong in them is skipped, and said while it runs."""
    settings = load({"DOMAINS": "*.a.example", "OPTIONS": "--csr 'x"})

    assert len(settings.domains.skipped) == 1
    assert len(settings.options.refused) == 1


def test_the_manual_has_every_variable_of_the_user() -> None:
    """The table for the README tells all that the user may set, and nothing of the image's own."""
    table = manual(Settings)
    told = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)

    assert told == [name for name, declaration in fields(Settings) if not declaration.exclude]
    assert {"DOMAINS", "EMAIL", "OPTIONS", "LOAD_BALANCER_SERVICE_NAME", "RENEWAL_INTERVAL"} <= set(told)
    assert "Wanted(" not in table
    assert "Options(" not in table
