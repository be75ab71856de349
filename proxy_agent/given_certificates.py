"""Certificates that come with the environment: DEFAULT_SSL_CERT, or SSL_CERT, and what EXTRA_SSL_CERTS names."""

from dataclasses import dataclass

from proxy_agent.daemon.errors import Skipped
from proxy_agent.settings import Settings
from proxy_agent.settings_tls import parse_pem
from proxy_agent.tls.bundle import Bundle, parse_bundle

DEFAULT_STEM = "default"
ENVIRONMENT = "environment"
_LARGEST_BUNDLE = 32_000
"""Below ``tune.bufsize 32768``, with room for the command that loads it: some six hundred names."""


@dataclass(frozen=True)
class Given:
    """Certificates that came with the environment."""

    bundles: tuple[Bundle, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    default: Bundle | None = None


def given_certificates(settings: Settings) -> Given:
    """What the environment holds; a bad one is left out by the name of its variable."""
    variables: dict[str, str | bytes] = dict(settings.extra_pems)
    if default_pem := settings.default_ssl_cert or settings.ssl_cert:
        variables[DEFAULT_STEM] = default_pem
    bundles: dict[str, Bundle] = {}
    skipped: list[Skipped] = []
    for stem, pem in sorted(variables.items()):
        try:
            content = pem if isinstance(pem, bytes) else parse_pem(pem)
            bundles[stem] = of_a_size_to_load(parse_bundle(f"{ENVIRONMENT}/{stem}", content))
        except ValueError as error:
            skipped.append(Skipped("DEFAULT_SSL_CERT" if stem == DEFAULT_STEM else stem, str(error)))
    return Given(tuple(bundles.values()), tuple(skipped), bundles.get(DEFAULT_STEM))


def of_a_size_to_load(bundle: Bundle) -> Bundle:
    """*bundle*, if the runtime API can take it; raises ValueError."""
    if len(bundle.pem) > _LARGEST_BUNDLE:
        raise ValueError(f"key, certificate and chain are larger together than {_LARGEST_BUNDLE} bytes")
    return bundle
