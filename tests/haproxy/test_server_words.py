"""proxy_agent.routing.server_words: what is taken, HAProxy takes too."""

from pathlib import Path

import pytest

from proxy_agent.process import check_configuration
from proxy_agent.routing import server_words
from proxy_agent.routing.server_words import parse_server_words

VALUES = {
    **dict.fromkeys(("inter", "fastinter", "downinter", "slowstart", "pool-purge-delay"), "24d"),
    **{"observe": "layer7", "on-error": "mark-down", "on-marked-down": "shutdown-sessions"},
    **{"on-marked-up": "shutdown-backup-sessions", "verify": "none", "verifyhost": "a.test", "check-sni": "a.test"},
    **{"sni": "req.hdr(host),host_only,lower", "alpn": "h2,http/1.1", "check-alpn": "h2", "proto": "h2"},
    **{"ws": "auto", "ssl-min-ver": "TLSv1.2", "ssl-max-ver": "TLSv1.3"},
    **{"ciphers": "ECDHE+AESGCM:!aNULL", "ciphersuites": "TLS_AES_128_GCM_SHA256"},
    **{"proxy-v2-options": "ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id"},
    "ca-file": "@system-ca",
}
WORDS = sorted(
    [
        *(word for word in server_words._FLAGS if word not in ("ssl", "check-ssl")),
        *("ssl verify none", "check-ssl verify none", "ssl verify required ca-file @system-ca"),
        *(f"{word} {VALUES.get(word, '1')}" for word in server_words._WITH_VALUE),
    ]
)


@pytest.mark.parametrize("encrypted", ["", " ssl verify none"])
def test_haproxy_takes_every_word(tmp_path: Path, encrypted: str) -> None:
    """One server line for each, behind the check that all servers have."""
    lines = [
        f"    server s{number} 127.0.0.1:1{encrypted} check {' '.join(parse_server_words(word))}\n"
        for number, word in enumerate(WORDS)
    ]
    path = tmp_path / "haproxy.cfg"
    times = "".join(f"    timeout {side} 1s\n" for side in ("client", "connect", "server"))
    path.write_text(f"listen x\n    mode http\n    bind 127.0.0.1:1\n{times}{''.join(lines)}")
    verdict = check_configuration(path)
    assert verdict.accepted, verdict.reasons
