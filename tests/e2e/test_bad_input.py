"""Bad input: one clear line each, the rest works, and nothing valid is lost."""

from tests.e2e.stack import WORK, Stack
from tests.waiting import until

STACK = ("haproxy", "letsencrypt", "docker-gate", "app")


def test_no_settings_at_all(plain_stack: Stack) -> None:
    """Both ports answer with the default certificate, and one line says where certificates come from."""
    plain_stack.up()
    until(lambda: plain_stack.https("unknown.test").status == 503, "HAProxy")
    assert plain_stack.http("unknown.test").status == 503
    log = until(lambda: plain_stack.log("letsencrypt"), "what to set")
    assert "DOMAINS" in log
    until(lambda: _all_healthy(plain_stack), "healthy containers", within=60, pause=0.5)
    assert plain_stack.log("letsencrypt").count("DOMAINS") == 1
    assert "ERROR" not in plain_stack.log("haproxy", "letsencrypt")


def _all_healthy(stack: Stack) -> bool:
    return stack.compose("ps", "--format", "json").count('"Health":"healthy"') == 2


def test_bad_names_cost_themselves(stack: Stack) -> None:
    """Of a DOMAINS with a blank, a wildcard and a good name, the good one is issued and the others explained."""
    stack.up("production", "--wait")
    stack.up(*STACK, DOMAINS="exa mple.com;*.x.com;one.test")
    stack.until_trusted(["one.test"], "production")
    log = stack.log("letsencrypt")
    assert log.count("exa mple.com") == 1
    assert log.count("*.x.com") == 1
    assert stack.orders("production") == 1


def test_an_unknown_option_orders_nothing_and_loses_nothing(stack: Stack) -> None:
    """After a good start, OPTIONS=--nonsense is named in one line; what was issued stays served."""
    stack.up("production", "--wait")
    stack.up(*STACK, DOMAINS="one.test")
    root = stack.until_trusted(["one.test"], "production")
    stack.up("letsencrypt", DOMAINS="one.test;two.test", OPTIONS="--nonsense")
    until(lambda: "--nonsense" in stack.log("letsencrypt"), "the line that names the option")
    assert stack.log("letsencrypt").count("--nonsense") == 1
    assert stack.orders("production") == 1
    assert stack.trusts("one.test", root)


def test_a_ca_that_is_down_is_said_once_and_used_when_it_is_back(stack: Stack) -> None:
    """HTTPS answers with the default certificate meanwhile, and the certificate arrives without a restart."""
    stack.up("production", "--wait")
    stack.compose("pause", "production")
    stack.compose("unpause", "production")
    stack.compose("stop", "--timeout", "1", "production")
    stack.up(*STACK, DOMAINS="one.test")
    until(lambda: "acme-v02.api.letsencrypt.org" in stack.log("letsencrypt"), "the line that names the directory")
    assert stack.https("unknown.test").status == 503
    stack.up("production", "--wait")
    stack.until_trusted(["one.test"], "production", within=90)


def test_an_unreadable_custom_certificate_costs_itself(stack: Stack) -> None:
    """A key that the container may not read and a file that is no certificate are named, the good one is served."""
    folder = WORK / stack.project
    folder.mkdir(parents=True)
    try:
        (folder / "locked.key").write_text("secret")
        (folder / "locked.key").chmod(0)
        (folder / "locked.crt").write_text("certificate")
        (folder / "broken.pem").write_text("not a certificate")
        stack.up("haproxy", CUSTOM_CERTS=str(folder))
        until(lambda: "broken.pem" in stack.log("haproxy"), "the line about the broken file")
        log = stack.log("haproxy")
        assert log.count("locked.key may not be read by this container's user (uid 10001)") == 1
        assert log.count("broken.pem: there is no private key in it") == 1
        assert stack.https("unknown.test").status == 503
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def test_a_full_disk_while_publishing_loses_nothing(full_disk_stack: Stack) -> None:
    """The certificate that was issued waits, said in one line, and is served once there is room: one order in all."""
    stack = full_disk_stack
    stack.up("production", "--wait")
    stack.up("haproxy", "letsencrypt", "docker-gate")
    stack.run_in("letsencrypt", "sh", "-c", "cat /dev/zero > /certs/junk", check=False)
    stack.up("letsencrypt", DOMAINS="one.test")
    log = until(lambda: _lines(stack, "No space left on device"), "the line about the full disk", within=60)
    assert len(log) == 1
    stack.run_in("letsencrypt", "rm", "/certs/junk")
    stack.until_trusted(["one.test"], "production", within=90)
    assert stack.orders("production") == 1


def _lines(stack: Stack, text: str) -> list[str]:
    return [line for line in stack.log("letsencrypt").splitlines() if text in line]
