"""What raw lines may say: a container's only what concerns its own backend, the proxy's own what is not the agent's.

Section 4.2 of HAProxy's manual lists the directives of a backend, 4.3 the actions of rules. A container's lines are
held against lists of what is harmless to everybody else; whatever could name a file, another section, the environment
or something that all services share is not in them.
"""

import re
from itertools import pairwise

from proxy_agent.routing.rawtext import Words

_SECTIONS = frozenset(
    {
        *("global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "mailers", "userlist", "cache"),
        *("program", "http-errors", "ring", "log-forward", "log-profile", "fcgi-app", "crt-store", "traces", "acme"),
    }
)
_AGENTS_OWN = {
    **dict.fromkeys(("setenv", "presetenv", "resetenv", "unsetenv"), "the environment is the agent's"),
    **dict.fromkeys(("default-path", "server-state-base", "server-state-file"), "the agent says where files are"),
    "localpeer": "the agent names the process",
    "default_backend": "use_backend is for that; what it leaves goes where VIRTUAL_HOST says",
}
_FREE = frozenset(
    {
        *("acl", "balance", "compression", "cookie", "dynamic-cookie-key", "errorloc", "errorloc302", "errorloc303"),
        *("force-persist", "ignore-persist", "fullconn", "hash-type", "hash-balance-factor", "http-reuse"),
        *("http-send-name-header", "max-keep-alive-queue", "redirect", "retries", "retry-on", "http-error"),
    }
)
"""Directives of a backend whose arguments need no list of their own."""
_SECOND_WORDS: dict[str, frozenset[str]] = {
    "http-check": frozenset({"send", "expect", "disable-on-404", "send-state", "comment"}),
    "tcp-check": frozenset({"send", "send-lf", "send-binary", "send-binary-lf", "expect", "comment"}),
    "stick": frozenset({"on", "match", "store-request", "store-response"}),
    "timeout": frozenset(
        {"check", "connect", "http-keep-alive", "http-request", "queue", "server", "server-fin", "tarpit", "tunnel"}
    ),
    "option": frozenset(
        {
            *("abortonclose", "allbackups", "checkcache", "http-buffer-request", "http-keep-alive", "http-no-delay"),
            *("http-pretend-keepalive", "http-server-close", "httpclose", "httpchk", "independent-streams"),
            *("ldap-check", "log-health-checks", "mysql-check", "nolinger", "originalto", "persist", "pgsql-check"),
            *("prefer-last-server", "redis-check", "redispatch", "smtpchk", "spop-check", "splice-auto"),
            *("splice-request", "splice-response", "srvtcpka", "ssl-hello-chk", "tcp-check", "tcp-smart-connect"),
            *("tcpka", "http-restrict-req-hdr-names", "h1-case-adjust-bogus-server"),
        }
    ),
}
_RULES = frozenset({"http-request", "http-response", "http-after-response"})
_ACTIONS = frozenset(
    {
        *("add-header", "allow", "auth", "del-header", "deny", "disable-l7-retry", "early-hint", "redirect", "reject"),
        *("replace-header", "replace-path", "replace-pathq", "replace-uri", "replace-value", "return", "set-header"),
        *("set-log-level", "set-method", "set-path", "set-pathq", "set-priority-class", "set-priority-offset"),
        *("set-query", "set-status", "set-timeout", "set-uri", "silent-drop", "strict-mode", "tarpit", "track-sc0"),
        *("track-sc1", "track-sc2", "wait-for-body", "wait-for-handshake"),
    }
)
_ACTIONS_ON_SOMETHING = re.compile(
    r"(set-var|set-var-fmt|unset-var)\((sess|txn|req|res)\.[A-Za-z0-9_.]+(,[a-z]+)?\)"
    r"|sc-(inc-gpc[01]?|set-gpt0?|add-gpc)\([0-9,]+\)"
)
_HINTS = {
    "server": "containers are found through Docker; EXTRA_ROUTE_SETTINGS is for words of their lines",
    "default-server": "EXTRA_ROUTE_SETTINGS is for that",
    "timeout client": "TIMEOUT_CLIENT is for that",
    "mode": "TCP_PORTS is for services that do not speak HTTP",
    "option forwardfor": "HAProxy sets X-Forwarded-For for every service",
    "option httplog": "how requests are logged is the proxy's to say",
}
_NAMES_A_FILE = frozenset({"file", "lf-file", "errorfile", "errorfiles", "default-errorfiles", "-f", "-M"})
_FORBIDDEN = (
    (re.compile(r"\benv\s*\(", re.IGNORECASE), "the environment cannot be read here"),
    (re.compile(r"\bmap(_[a-z_]+)?\s*\(", re.IGNORECASE), "it names a file, which a container may not"),
    (re.compile(r"\bjwt_verify\s*\(", re.IGNORECASE), "it names a file, which a container may not"),
    (re.compile(r"\blua\.", re.IGNORECASE), "Lua is not for containers"),
    (re.compile(r"(?<![\w.-])proc\."), "variables of proc. are shared by all services"),
    (re.compile(r"_(session_key|secret)\b"), "it shows keys of TLS connections"),
    (re.compile(r",\s*debug\b"), "it writes into the log of all services"),
)
_WITH_LINE_BREAKS = frozenset({"http-error", "return", "deny", "tarpit", "send", "send-lf", "expect"})
_ADDRESSES = re.compile(r"src|dst|ip")
_LARGEST_TABLE = 1024**2
_MULTIPLES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def judge_global(words: Words) -> None:
    """Raise ValueError if a line of the global section could keep HAProxy from starting where ``-c`` sees nothing."""
    modest = words[0] == "maxconn" and re.fullmatch("[0-9]{1,4}", "".join(words[1:2]))
    if words[0] in ("maxconn", "ulimit-n", "fd-hard-limit") and not modest:
        raise ValueError("HAProxy does not start where it needs more open files than it may have; MAXCONN is for that")


def judge(words: Words, strict: bool) -> None:
    """Raise ValueError with a reason if *words* may not stand in a section; *strict* for those of containers."""
    if words[0] in _SECTIONS or words[0].startswith("."):
        raise ValueError(f"{words[0]} begins something new, which a line of settings may not")
    if words[0] in _AGENTS_OWN:
        raise ValueError(_AGENTS_OWN[words[0]])
    if words[0] == "mode" and words[1:] not in (("http",), ()):
        raise ValueError(f"all of it speaks HTTP; {_HINTS['mode']}")
    if strict and words != ("mode", "http"):
        _judge_directive(words[1:] if words[:2] == ("no", "option") else words)
        _judge_arguments(words)


def without_dns(words: Words) -> Words:
    """*words* with ``-n`` wherever an address is compared: a name there would be resolved at every start."""
    conditions = [index for index, word in enumerate(words) if word.lstrip("!") == "{"]
    if words[0] == "acl" and len(words) > 2:  # noqa: PLR2004
        conditions.append(1)
    fetches = {at + 1 for at in conditions if at + 1 < len(words)}
    found = {at for at in fetches if _ADDRESSES.search(words[at]) or "ip" in words}
    return tuple(part for at, word in enumerate(words) for part in ((word, "-n") if at in found else (word,)))


def _judge_directive(words: Words) -> None:
    first, second = words[0], words[1] if len(words) > 1 else ""
    if first in _SECOND_WORDS:
        allowed = second in _SECOND_WORDS[first]
    elif first in _RULES:
        allowed = second in _ACTIONS or _ACTIONS_ON_SOMETHING.fullmatch(second) is not None
    elif first in ("tcp-request", "tcp-response"):
        allowed = second == "inspect-delay" or (second == "content" and words[2:3] in (("accept",), ("reject",)))
    elif first == "stick-table":
        if not _is_small_table(words):
            raise ValueError("a table of a container holds 1m entries at most")
        allowed = True
    else:
        allowed = first in _FREE
    if not allowed:
        named = f"{first} {second}".strip() if first in {*_SECOND_WORDS, *_RULES} else first
        hint = _HINTS.get(named, _HINTS.get(first, "EXTRA_SETTINGS_POLICY=open on the proxy allows more"))
        raise ValueError(f"{named[:40]} is not for containers; {hint}")


def _is_small_table(words: Words) -> bool:
    sizes = [value for word, value in pairwise(words) if word == "size"]
    matches = [re.fullmatch(r"([0-9]{1,7})([kmg]?)", size) for size in sizes]
    return all(match and int(match[1]) * _MULTIPLES[match[2]] <= _LARGEST_TABLE for match in matches)


def _judge_arguments(words: Words) -> None:
    if files := _NAMES_A_FILE.intersection(words):
        raise ValueError(f"{min(files)} names a file, which a container may not")
    for word in words:
        for pattern, reason in _FORBIDDEN:
            if pattern.search(word):
                raise ValueError(reason)
    if any("\n" in word or "\r" in word for word in words) and not _WITH_LINE_BREAKS.intersection(words[:2]):
        raise ValueError("it holds a line break")
