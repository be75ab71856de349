"""proxy_agent.settings: the variables of the HAProxy container."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from proxy_agent.daemon.settings import SettingsError
from proxy_agent.settings import load


def test_nothing_has_to_be_set() -> None:
    """The defaults are those of the image."""
    settings = load({})
    assert settings.force_ssl is None
    assert not settings.access_log
    assert settings.resync_interval == timedelta(seconds=60)
    assert (settings.http_port, settings.https_port) == (80, 443)
    assert settings.letsencrypt_service_name == "letsencrypt"
    assert "localhost" in settings.default_cert_sans
    assert settings.status_file == settings.run_folder / "status.json"


def test_the_default_certificate_may_name_hosts_and_addresses() -> None:
    """Separated by commas, in any spelling, each once, in their order."""
    sans = load({"DEFAULT_CERT_SANS": " Box.lan, 192.0.2.7 ,,[2001:DB8::7],box.lan"}).default_cert_sans
    assert sans == ("box.lan", ip_address("192.0.2.7"), ip_address("2001:db8::7"))


def test_filters_are_those_of_docker() -> None:
    """In their order, several of one kind too; a value may hold the sign itself."""
    filters = load({"DOCKER_CONTAINER_FILTERS": "label=tier=web, name=a,,name=b"}).docker_container_filters
    assert filters == (("label", "tier=web"), ("name", "a"), ("name", "b"))


@pytest.mark.parametrize("name", ["letsencrypt", "my_certbot", "certbot.example.com"])
def test_a_service_is_named_as_compose_names_it(name: str) -> None:
    """Underscores are no host name's, but Compose has them."""
    assert load({"LETSENCRYPT_SERVICE_NAME": name}).letsencrypt_service_name == name


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEFAULT_CERT_SANS", ","),
        ("DEFAULT_CERT_SANS", "a b"),
        ("DEFAULT_CERT_SANS", "a.test\nb.test"),
        ("FORCE_SSL", "maybe"),
        ("ACCESS_LOG", "2"),
        ("DOCKER_HEALTH", "always"),
        ("DOCKER_CONTAINER_FILTERS", "label"),
        ("DOCKER_CONTAINER_FILTERS", "colour=red"),
        ("DOCKER_CONTAINER_FILTERS", "name=a, name="),
        ("LETSENCRYPT_SERVICE_NAME", "a b"),
        ("LETSENCRYPT_SERVICE_NAME", "a\n    option forwardfor"),
        ("LETSENCRYPT_SERVICE_NAME", "192.0.2.1"),
        ("LETSENCRYPT_SERVICE_NAME", "a:80"),
        ("RESYNC_INTERVAL", "60"),
        ("RESYNC_INTERVAL", "0s"),
        ("RESYNC_INTERVAL", "999999d"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("HTTP_PORT", "0"),
        ("HTTPS_PORT", "65536"),
        ("TRUST_DOWNSTREAM_PROXY", "maybe"),
        ("DEFAULT_HOST", "*.a.test"),
        ("DEFAULT_ROOT", "301"),
        ("MONITOR_URI", "/a b"),
        ("HTTPS_METHOD", "always"),
        ("NON_GET_REDIRECT", "302"),
        ("RESOLVERS", "dns.example.com"),
        ("ADDITIONAL_SERVICES", "web"),
        ("MAXCONN", "0"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_value(variable: str, value: str) -> None:
    """Nothing of it reaches a template."""
    with pytest.raises(SettingsError) as refused:
        load({variable: value})
    assert str(refused.value).startswith(f"{variable}={value!r} cannot be used: ")


def test_a_name_that_only_resembles_the_one_meant_is_kept_as_written() -> None:
    """The name is checked with its underscores as hyphens, and used with its underscores."""
    with pytest.raises(SettingsError, match="LETSENCRYPT_SERVICE_NAME='_'"):
        load({"LETSENCRYPT_SERVICE_NAME": "_"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STATS_AUTH", "s3cret"),
        ("DEFAULT_SSL_CERT", "s3cret"),
        ("SSL_CERT", "s3cret"),
        ("CA_CERT", "s3cret"),
        ("EXTRA_SSL_CERTS", "-----BEGIN s3cret-----"),
    ],
)
def test_a_secret_that_cannot_be_used_is_not_repeated(variable: str, value: str) -> None:
    """Its name is enough to find it."""
    with pytest.raises(SettingsError) as refused:
        load({variable: value})
    assert str(refused.value).startswith(f"{variable} cannot be used: ")
    assert "s3cret" not in str(refused.value)


def test_settings_show_no_secret() -> None:
    """Whoever prints them in a traceback prints none."""
    pem = "-----BEGIN PRIVATE KEY-----s3cret"
    environment = {"STATS_AUTH": "me:s3cret", "SSL_CERT": pem, "CA_CERT": pem, "EXTRA_SSL_CERTS": "MORE", "MORE": pem}
    assert "s3cret" not in repr(load(environment))
