"""OPTIONS, and the command line of a run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letsencrypt.certonly import PRODUCTION, STAGING, Directory, Folders, Options, arguments, parse_options
from letsencrypt.lineages import parse_domains

FOLDERS = Folders(Path("/c"), Path("/w"), Path("/l"), Path("/webroot"))


def line(domains: str, options: str = "", email: str | None = None) -> str:
    """The command line for the one certificate of *domains*."""
    [lineage] = parse_domains(domains).lineages
    return " ".join(arguments(lineage, parse_options(options), FOLDERS, email))


def refusals(text: str) -> dict[str, str]:
    """What of the options *text* is refused, with the reason."""
    return {skipped.what: skipped.reason for skipped in parse_options(text).refused}


def test_the_command_line_is_complete() -> None:
    """Every run is given everything, because certbot takes nothing from the last one."""
    assert line("a.example, www.a.example", email="me@example.com") == (
        "certonly --non-interactive --agree-tos --keep-until-expiring "
        "--server https://acme-v02.api.letsencrypt.org/directory --config-dir /c --work-dir /w --logs-dir /l "
        "--max-log-backups 10 --email me@example.com "
        "--cert-name a.example --webroot --webroot-path /webroot -d a.example -d www.a.example"
    )


def test_addresses_are_named_as_such() -> None:
    """Names and addresses are given by different options, and addresses ask for the profile that allows them."""
    assert line("a.example, 192.0.2.1, 2001:db8::1").endswith(
        "--preferred-profile shortlived --cert-name a.example --webroot --webroot-path /webroot "
        "-d a.example --ip-address 192.0.2.1 --ip-address 2001:db8::1"
    )


@pytest.mark.parametrize("option", ["--preferred-profile=mine", "--required-profile mine"])
def test_a_profile_of_the_operator_is_not_overruled(option: str) -> None:
    """Who chooses a profile gets it, also for addresses."""
    assert "shortlived" not in line("192.0.2.1", option)


def test_options_are_passed_on_before_ours() -> None:
    """The operator's options reach certbot as shell words; ours come later, so they win."""
    command = line("a.example", "--key-type rsa --user-agent-comment 'two words'")

    assert command.startswith("certonly --non-interactive --agree-tos --keep-until-expiring --key-type rsa ")
    assert parse_options("--user-agent-comment 'two words'").words == ("--user-agent-comment", "two words")


@pytest.mark.parametrize("option", ["--staging", "--test-cert"])
def test_staging_becomes_the_address_of_staging(option: str) -> None:
    """As certbot refuses --staging beside --server, it is translated and never passed on."""
    options = parse_options(f"{option} --key-type rsa")

    assert options == Options(("--key-type", "rsa"), Directory(STAGING))


@pytest.mark.parametrize("option", ["--server https://ca.example/dir", "--server=https://ca.example/dir"])
def test_a_server_may_be_written_in_two_ways(option: str) -> None:
    """The server is read from its own word or from the next one, and passed on once."""
    assert parse_options(f"-v {option} -q") == Options(("-v", "-q"), Directory("https://ca.example/dir"))


@pytest.mark.parametrize(
    "order", ["--staging --server https://ca.example/d", "--server https://ca.example/d --staging"]
)
def test_two_servers_are_a_problem(order: str) -> None:
    """Who names two servers is asked which, in either order."""
    assert refusals(order) == {"OPTIONS --staging": "--server is given too, and they name two servers; keep one"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ca.example",
        "http://ca.example/dir",
        "https://",
        "--staging",
        "https://ca.example/a\\ b",
        "https://[x",
        "https://me:secret@ca.example/dir",
    ],
)
def test_a_server_that_is_no_address_is_refused(url: str) -> None:
    """ACME is spoken over HTTPS; anything else is refused with what an address looks like, and is not repeated."""
    assert "secret" not in str(refusals(f"--server {url}"))
    assert PRODUCTION in refusals(f"--server {url}")["OPTIONS --server"]


def test_words_that_no_shell_could_read_are_refused() -> None:
    """An open quotation is one refusal, and nothing is passed on."""
    assert parse_options("--key-type 'rsa").words == ()
    assert refusals("--key-type 'rsa") == {"OPTIONS": "it cannot be read as shell words: no closing quotation"}


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("-d a.example", "DOMAINS"),
        ("-da.example", "DOMAINS"),
        ("-nd a.example", "DOMAINS"),
        ("--domains=a.example", "DOMAINS"),
        ("--ip-address 192.0.2.1", "DOMAINS"),
        ("--cert-name x", "DOMAINS"),
        ("--config-dir /x", "mount a volume"),
        ("--email me@example.com", "EMAIL"),
        ("-m me@example.com", "EMAIL"),
        ("--standalone", "over HTTP"),
        ("--manual-auth-hook x", "over HTTP"),
        ("--dns-route53", "over HTTP"),
        ("-a standalone", "over HTTP"),
        ("--webroot-path /x", "over HTTP"),
        ("--csr x.csr", "private key"),
        ("--dry-run", "--staging"),
        ("--force-renewal", "rate limit"),
        ("--force-renew", "--force-renewal"),
        ("--allow-subset-of-names", "a certificate of their own"),
        ("--must-staple", "ended OCSP in 2025"),
        ("--must-s", "--must-staple"),
        ("--key-type dsa", "rsa or ecdsa"),
        ("--rsa-key-size 1024", "2048, 3072 or 4096"),
        ("--rsa-key-size=8192", "2048, 3072 or 4096"),
        ("--rsa-key-s 1024", "2048, 3072 or 4096"),
        ("--elliptic-curve secp521r1", "P-256"),
        ("--eab-kid 1", "belong together"),
        ("--eab-hmac-key=1", "belong together"),
        ("--help", "docker compose exec"),
        ("--", "hides"),
    ],
)
def test_what_is_ours_is_refused_with_what_to_do(option: str, instead: str) -> None:
    """An option that the container decides is refused in one sentence that says what to use instead."""
    [reason] = refusals(option).values()
    assert instead in reason


@pytest.mark.parametrize("option", ["--stag", "--serv https://ca.example/dir", "--doma x", "--csr=x", "--conf x"])
def test_short_forms_do_not_slip_through(option: str) -> None:
    """As certbot accepts any unique beginning of an option, such beginnings of ours are refused, too."""
    assert len(refusals(option)) == 1


@pytest.mark.parametrize(
    "option",
    ["--debug", "-v", "-q", "--agree-tos", "--key-type ecdsa", "--elliptic-curve secp384r1", "--rsa-key-size 3072",
     "--eab-kid 1 --eab-hmac-key 2", "--nonsense", "--preferred-chain 'X1'", "--deploy-hook true", "--reuse-key",
     "--issuance-timeout 30"],
)  # fmt: skip
def test_the_rest_is_certbots_to_judge(option: str) -> None:
    """What is not ours is passed on as it stands, known or not."""
    assert refusals(option) == {}


def test_each_server_but_production_has_its_own_folder() -> None:
    """Production keeps certbot's classic place; two other servers never share a folder, however alike they look."""
    root = Path("/etc/letsencrypt")
    urls = [STAGING, "https://ca.example/a_b", "https://ca.example/a/b", "https://ca.example/a?b"]
    folders = {Directory(url).config_folder(root) for url in urls}

    assert Directory(PRODUCTION).config_folder(root) == root
    assert len(folders) == len(urls)
    assert {folder.parent for folder in folders} == {root / "directories"}
    assert any("acme-staging-v02.api.letsencrypt.org" in folder.name for folder in folders)


@given(st.text())
def test_any_options_are_read_without_failing(text: str) -> None:
    """Whatever OPTIONS holds, there is a directory with a host, and what names another server is taken out."""
    options = parse_options(text)

    assert options.directory.host
    assert "--staging" not in options.words
    assert not any(word.startswith("--server") for word in options.words) or options.refused


@given(st.lists(st.sampled_from(["--server", "--staging", "--key-type", "rsa", "-d", "--csr=x", "a.example", "-nv"])))
def test_our_options_never_reach_certbot_by_way_of_the_operator(words: list[str]) -> None:
    """Options are either passed on, understood here, or refused."""
    options = parse_options(" ".join(words))

    assert not options.refused or {"-d", "--csr=x", "--server", "--staging", "--key-type"} & set(words)
    assert options.refused or not {"-d", "--csr=x"} & set(options.words)
