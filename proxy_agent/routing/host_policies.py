"""``SSL_POLICY`` of a container: what TLS is spoken for its hosts, on lines of the crt-list of their own."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from proxy_agent.daemon.errors import Skipped
from proxy_agent.routing.cert_name import hosts_of
from proxy_agent.routing.claims import Proxy
from proxy_agent.routing.metadata import SSL_POLICY, setting
from proxy_agent.routing.model import Service
from proxy_agent.tls.names import DnsName
from proxy_agent.tls.policy import Policy, parse_policy


def host_policies(
    services: Iterable[Service], proxy: Proxy, usual: Policy
) -> tuple[Mapping[DnsName, str], tuple[Skipped, ...]]:
    """The options of the handshake for each host whose policy is not the *usual* one; the newest container decides."""
    chosen: dict[DnsName, Policy] = {}
    doubts: set[Skipped] = set()
    asking = [(c, s) for s in services for c in s.containers if setting(c, SSL_POLICY)]
    for container, service in sorted(asking, key=lambda each: (-each[0].created, each[0].name)):
        try:
            policy = parse_policy(setting(container, SSL_POLICY))
        except ValueError as error:
            doubts.add(Skipped(service.name, f"{SSL_POLICY}: {error}; the proxy's is used"))
            continue
        for host in hosts_of(Service(service.name, (container,)), proxy):
            chosen.setdefault(host, policy)
    options = {host: policy.crt_list_options for host, policy in sorted(chosen.items()) if policy != usual}
    return options, tuple(sorted(doubts))


def lines(
    names: Sequence[DnsName], all_names: frozenset[DnsName], options: Mapping[DnsName, str]
) -> list[tuple[DnsName, ...]]:
    """The *names* of one certificate, parted into lines of equal options.

    A host that only a wildcard among them covers gets a line of its own, unless another certificate has its name:
    *all_names* are those of all certificates.
    """
    below = {host for host in options if host not in all_names and f"*.{host.partition('.')[2]}" in names}
    groups: dict[str, list[DnsName]] = defaultdict(list)
    for name in sorted({*names, *below}):
        groups[options.get(name, "")].append(name)
    return sorted(tuple(group) for group in groups.values())
