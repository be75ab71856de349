"""Lines written for HAProxy 1.5 to 2.x, as dockercloud/haproxy took them, in the words of today's HAProxy."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise

from proxy_agent.routing.rawtext import Words

_OURS = re.compile(r"x-forwarded-.*|x-real-ip|x-original-uri|forwarded|proxy", re.IGNORECASE)
"""Header fields that the proxy sets itself for every request."""
_NAME = r"[A-Za-z0-9!#$&*.^_`|~-]+"
_HEADER_LINE = re.compile(rf"({_NAME}):\s*(.*)", re.DOTALL)
_HEADER_PATTERN = re.compile(rf"\^({_NAME}):(?: |\[ \]|\\s)?[*+]?(.+)", re.DOTALL)
_DELETED = re.compile(r"\^?([A-Za-z0-9-]+):(?:\.\*)?\$?")
_REQUEST_LINE = re.compile(r"\^\(\[\^[ :]*\]\*\) (/.*\(\.\*\))\$?")
_REPLACED_LINE = re.compile(r"\\1 (/(?:(?!\\1).)*)")
_VERSIONS = ("sslv3", "tlsv10", "tlsv11", "tlsv12")
_CODE = re.compile(r"TLSv1\.[01]")

Lines = tuple[Words, ...]


def translate(words: Words) -> Lines:
    """*words* as HAProxy 3.0 takes them: themselves, other lines in their place, or none where they mean nothing now.

    Raises ValueError, with what to write instead, for what has no equivalent or is not the user's to set.
    """
    for length in (2, 1):
        if rule := _RULES.get(" ".join(words[:length])):
            return rule(words)
    if words[0] == "no" and words[1:2] == ("option",):
        return tuple(("no", *line) for line in translate(words[1:]) if line[0] == "option")
    return (words,)


def without_old_versions(words: Words) -> Words:
    """Words of a ``bind`` line or of ssl-default-bind-options, with ``no-sslv3`` and its like as ``ssl-min-ver``."""
    refused = {version for version in _VERSIONS if f"no-{version}" in words}
    for word, value in pairwise(words):
        if word in ("ssl-min-ver", "ssl-max-ver") and _CODE.fullmatch(value):
            raise ValueError("TLS below 1.2 is not served with it; SSL_POLICY is for that")
    if not refused:
        return words
    kept = tuple(word for word in words if word.removeprefix("no-") not in refused or not word.startswith("no-"))
    if "ssl-min-ver" in kept:
        return kept
    return (*kept, "ssl-min-ver", "TLSv1.3" if "tlsv12" in refused else "TLSv1.2")


def _add_header(section: str) -> Callable[[Words], Lines]:
    def rule(words: Words) -> Lines:
        line = _HEADER_LINE.fullmatch(words[1]) if len(words) > 1 else None
        if not line:
            raise ValueError(f"write {section} add-header NAME VALUE")
        name, value = line.groups()
        if _is_ours(name, section):
            return ()
        return ((section, "add-header", name, _in_a_format(value), *words[2:]),)

    return rule


def _delete_header(section: str) -> Callable[[Words], Lines]:
    def rule(words: Words) -> Lines:
        line = _DELETED.fullmatch(words[1]) if len(words) > 1 else None
        if not line:
            raise ValueError(f"write {section} del-header NAME, or del-header REGEX -m reg")
        if section == "http-request" and _OURS.fullmatch(line[1]):
            return ()
        return ((section, "del-header", line[1], *words[2:]),)

    return rule


def _replace(section: str, flags: str) -> Callable[[Words], Lines]:
    def rule(words: Words) -> Lines:
        pattern, replacement = (*words[1:3], "", "")[:2]
        line, becomes = _REQUEST_LINE.fullmatch(pattern), _REPLACED_LINE.fullmatch(replacement)
        if line and becomes and section == "http-request":
            # HAProxy counted the method as the first group; the path now stands alone, and its end with it.
            path = re.sub(r"\\([2-9])", lambda group: f"\\{int(group[1]) - 1}", _in_a_format(becomes[1]))
            return ((section, "replace-path", f"{flags}^{line[1]}", path, *words[3:]),)
        header, value = _HEADER_PATTERN.fullmatch(pattern), _HEADER_LINE.fullmatch(replacement)
        if not header or not value or header[1].lower() != value[1].lower():
            hint = "; VIRTUAL_DEST changes the beginning of paths" if section == "http-request" else ""
            raise ValueError(f"write {section} replace-header NAME REGEX VALUE or http-request replace-path{hint}")
        if _is_ours(value[1], section):
            return ()
        return ((section, "replace-header", value[1], f"{flags}^{header[2]}", _in_a_format(value[2]), *words[3:]),)

    return rule


def _is_ours(name: str, section: str) -> bool:
    if name.lower() == "strict-transport-security":
        raise ValueError("HSTS is for that")
    return section == "http-request" and _OURS.fullmatch(name) is not None


def _in_a_format(text: str) -> str:
    """*text* where HAProxy now expects a log format."""
    return text.replace("%", "%%")


def _check(words: Words) -> Lines:
    """HAProxy once took header fields hidden behind the version, and now refuses to start on them."""
    if len(words) != 5:  # noqa: PLR2004 - without a version, or with a host behind it
        return (words,)
    version, *headers = re.split(r"\r?\n", words[4])
    if version.upper() != "HTTP/1.1" and not headers:
        return (words,)
    fields = [line.groups() for header in headers if (line := _HEADER_LINE.fullmatch(header.strip()))]
    if not any(name.lower() == "host" for name, _ in fields):
        fields.append(("Host", "localhost"))
    sent = tuple(word for name, value in fields for word in ("hdr", name, _in_a_format(value)))
    method, uri = words[2:4]
    return ("option", "httpchk"), ("http-check", "send", "meth", method, "uri", uri, "ver", version, *sent)


def _instead(*beginning: str) -> Callable[[Words], Lines]:
    """Other words in place of the first, or of ``option x``."""

    def rule(words: Words) -> Lines:
        return ((*beginning, *words[2 if words[0] == "option" else 1 :]),)

    return rule


def _nothing(_: Words) -> Lines:
    return ()


def _refused(reason: str) -> Callable[[Words], Lines]:
    def rule(_: Words) -> Lines:
        raise ValueError(reason)

    return rule


def _monitor_net(words: Words) -> Lines:
    return (("http-request", "return", "status", "200", "if", "{", "src", *words[1:], "}"),)


def _bind_options(words: Words) -> Lines:
    return ((words[0], *without_old_versions(words[1:])),)


_IF = "write {} if {{ … }}"
_RULES: Mapping[str, Callable[[Words], Lines]] = {
    "reqadd": _add_header("http-request"),
    "rspadd": _add_header("http-response"),
    **dict.fromkeys(("reqdel", "reqidel"), _delete_header("http-request")),
    **dict.fromkeys(("rspdel", "rspidel"), _delete_header("http-response")),
    "reqrep": _replace("http-request", ""),
    "reqirep": _replace("http-request", "(?i)"),
    "rsprep": _replace("http-response", ""),
    "rspirep": _replace("http-response", "(?i)"),
    **dict.fromkeys(("reqdeny", "reqideny"), _refused(_IF.format("http-request deny"))),
    **dict.fromkeys(("reqallow", "reqiallow", "reqpass", "reqipass"), _refused(_IF.format("http-request allow"))),
    **dict.fromkeys(("reqtarpit", "reqitarpit"), _refused(_IF.format("http-request tarpit"))),
    **dict.fromkeys(("rspdeny", "rspideny"), _refused(_IF.format("http-response deny"))),
    **dict.fromkeys(("reqsetbe", "reqisetbe"), _refused("VIRTUAL_HOST chooses who answers")),
    "block": _instead("http-request", "deny"),
    **dict.fromkeys(("redispatch", "redisp"), _instead("option", "redispatch")),
    "contimeout": _instead("timeout", "connect"),
    "clitimeout": _instead("timeout", "client"),
    "srvtimeout": _instead("timeout", "server"),
    "option forceclose": _instead("option", "httpclose"),
    **dict.fromkeys(("option http-tunnel", "option http-use-htx"), _nothing),
    "option httpchk": _check,
    "monitor-net": _monitor_net,
    "mode health": _refused("MONITOR_URI is for that"),
    **dict.fromkeys(("nbproc", "bind-process", "stats bind-process", "cpu-map", "debug", "quiet"), _nothing),
    **dict.fromkeys(("daemon", "pidfile", "tune.chksize"), _nothing),
    **dict.fromkeys(("user", "group", "uid", "gid", "chroot"), _refused("the image runs unprivileged as it is")),
    **dict.fromkeys(("stats socket", "master-worker"), _refused("it is how the agent speaks to HAProxy")),
    **dict.fromkeys(("hard-stop-after", "grace"), _refused("RELOAD_TIMEOUT is for that")),
    "ssl-default-bind-options": _bind_options,
}
