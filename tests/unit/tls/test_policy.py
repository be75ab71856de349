"""proxy_agent.tls.policy: names of TLS policies, and what the older settings change of them."""

import ssl

import pytest

from proxy_agent.tls.policy import (
    INTERMEDIATE,
    NAMES,
    BindOptions,
    applied,
    parse_bind_options,
    parse_ciphers,
    parse_policy,
)


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_is_one_that_openssl_takes(name: str) -> None:
    """Without triple DES, DSS, RC4 or exchanges without authentication; below TLS 1.2 at security level 0 alone."""
    policy = parse_policy(name.upper())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(policy.openssl_ciphers)
    offered = {cipher["name"] for cipher in context.get_ciphers()}
    assert not any(word in cipher for cipher in offered for word in ("3DES", "DES-CBC3", "DSS", "RC4", "NULL", "ADH"))
    assert ("@SECLEVEL=0" in policy.openssl_ciphers) == (policy.lowest in {"TLSv1.0", "TLSv1.1"})


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("Mozilla-Modern", "TLSv1.3", "TLSv1.3"),
        ("Mozilla-Intermediate", "TLSv1.2", "TLSv1.3"),
        ("Mozilla-Old", "TLSv1.0", "TLSv1.3"),
        ("AWS-TLS13-1-2-Ext1-2021-06", "TLSv1.2", "TLSv1.3"),
        ("AWS-TLS13-1-1-2021-06", "TLSv1.1", "TLSv1.3"),
        ("AWS-FS-1-2-Res-2020-10", "TLSv1.2", "TLSv1.2"),
        ("AWS-2015-05", "TLSv1.0", "TLSv1.2"),
    ],
)
def test_a_name_stands_for_versions(name: str, lowest: str, highest: str) -> None:
    """As its author defined it."""
    policy = parse_policy(name)
    assert (policy.lowest, policy.highest) == (lowest, highest)


def test_an_unknown_policy_is_refused_by_its_name() -> None:
    """With the names that are usual."""
    with pytest.raises(ValueError, match="'Mozilla-Ancient' is no TLS policy: write one of Mozilla-Modern"):
        parse_policy("Mozilla-Ancient")


@pytest.mark.parametrize(
    ("policy", "options", "lowest", "highest", "doubts"),
    [
        ("Mozilla-Intermediate", "no-sslv3 no-tlsv10 no-tls-tickets", "TLSv1.2", "TLSv1.3", 0),
        ("Mozilla-Intermediate", "no-tlsv12", "TLSv1.3", "TLSv1.3", 0),
        ("Mozilla-Intermediate", "ssl-min-ver TLSv1.1", "TLSv1.2", "TLSv1.3", 1),
        ("Mozilla-Intermediate", "ssl-max-ver TLSv1.2", "TLSv1.2", "TLSv1.2", 0),
        ("Mozilla-Modern", "ssl-min-ver tlsv1.2", "TLSv1.2", "TLSv1.3", 0),
        ("Mozilla-Old", "no-tlsv10", "TLSv1.1", "TLSv1.3", 0),
        ("Mozilla-Old", "ssl-max-ver TLSv1.1", "TLSv1.0", "TLSv1.3", 1),
        ("Mozilla-Intermediate", "no-tlsv12 no-tlsv13", "TLSv1.2", "TLSv1.3", 1),
    ],
)
def test_older_settings_change_a_policy_within_reason(
    policy: str, options: str, lowest: str, highest: str, doubts: int
) -> None:
    """Down to TLS 1.2, or as far as the policy goes, and never to nothing."""
    result, told = applied(parse_policy(policy), parse_bind_options(options), "")
    assert (result.lowest, result.highest, len(told)) == (lowest, highest, doubts)


@pytest.mark.parametrize(
    "text", ["ssl-min-ver", "ssl-min-ver SSLv3", "verify none", "crt /x", "no-tlsv14", "ca-file /x"]
)
def test_other_words_are_refused(text: str) -> None:
    """Not everything that a bind line takes is for an operator to say."""
    with pytest.raises(ValueError, match="is no such option"):
        parse_bind_options(text)


def test_ciphers_are_exchanged_as_a_whole() -> None:
    """Names as OpenSSL has them, and nothing that could end the word."""
    assert applied(INTERMEDIATE, BindOptions(), parse_ciphers("HIGH:!aNULL"))[0].openssl_ciphers == "HIGH:!aNULL"
    for text in ("HIGH MEDIUM", "NO-SUCH-CIPHER", "HIGH\n"):
        with pytest.raises(ValueError, match="no cipher list"):
            parse_ciphers(text)
