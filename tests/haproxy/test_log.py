"""What of HAProxy's output reaches the log of the container: what nobody else says, and once."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "haproxy/services/haproxy/log/run"

SAID_BY_THE_AGENT = (
    "Server shop_web-3a430b84/shop-web-4 enters drain state. 1 active and 0 backup servers online. ",
    "Server shop_web-3a430b84/shop-web-2 is going DOWN for maintenance. 1 active and 0 backup servers left.",
    "Server shop_web-3a430b84/shop-web-3 is UP/READY (leaving forced maintenance).",
    "Server shop_web-3a430b84/shop-web-3 is UP/READY (leaving forced drain).",
    "Server shop_web-3a430b84/shop-web-3 was DOWN and now enters maintenance.",
    "[WARNING]  (44) : Server shop_web-3a430b84/shop-web-3 enters drain state. 2 active and 0 backup servers online.",
)
OF_A_NORMAL_DAY = (
    "[NOTICE]   (19) : New worker (42) forked",
    "[WARNING]  (37) : Proxy plain stopped (cumulated conns: FE: 0, BE: 0).",
    "[WARNING]  (19) : Former worker (37) exited with code 0 (Exit)",
    "[WARNING]  (44) : Server shop_web/shop-web-3 is DOWN, reason: Layer4 connection problem, info: refused.",
)
OF_A_BAD_DAY = (
    "Server shop_web/shop-web-3 is DOWN, reason: Layer4 connection problem, info: refused.",
    "Server shop_web/shop-web-3 is UP, reason: Layer4 check passed.",
    "backend shop_web has no server available!",
    "[ALERT]    (19) : Current worker (47) exited with code 137 (Killed)",
    '192.0.2.1:5000 [29/Nov/2026:01:12:21.325] tls~ shop/x 0/0/0/1/1 502 0 "GET /" "Server x/y IP changed from"',
    '192.0.2.1:5000 [29/Nov/2026:01:12:21.325] tls~ shop/x 0/0/0/1/1 502 0 "GET /" "Server a/b enters drain state"',
)


@pytest.mark.parametrize(
    ("lines", "shown"), [(SAID_BY_THE_AGENT, ()), (OF_A_NORMAL_DAY, ()), (OF_A_BAD_DAY, OF_A_BAD_DAY)]
)
def test_what_says_nothing_new_is_left_out(lines: tuple[str, ...], shown: tuple[str, ...]) -> None:
    """Changes that the agent made are told by the agent; what HAProxy found out, by HAProxy."""
    text = "".join(f"{line}\n" for line in lines)
    outcome = subprocess.run([SCRIPT], input=text, capture_output=True, text=True, timeout=20, check=True)
    assert tuple(outcome.stdout.splitlines()) == shown
