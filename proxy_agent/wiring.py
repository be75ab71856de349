"""Fits the edges to the agent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from proxy_agent.agent import Agent
from proxy_agent.certificates import Certificates
from proxy_agent.containers import Containers, own_addresses, own_container_id
from proxy_agent.deployment import Deployment
from proxy_agent.given_certificates import given_certificates
from proxy_agent.listener import Listener
from proxy_agent.perform import Performer
from proxy_agent.process import check_configuration
from proxy_agent.routing.render import CRT_LIST, MAPS, Templates
from proxy_agent.runtime import Runtime
from proxy_agent.session_tickets import SessionTickets
from proxy_agent.settings import Settings
from proxy_agent.surroundings import Surroundings
from proxy_agent.trials import Trials


@dataclass(frozen=True)
class Parts:
    """The agent with those of its edges that are started on their own."""

    agent: Agent
    containers: Containers
    certificates: Certificates
    deployment: Deployment


def wire(settings: Settings, templates: Path, clock: Callable[[], datetime]) -> Parts:
    """Build the agent of *settings*; nothing is started, opened or written yet."""
    state = settings.state_folder
    containers = Containers(
        settings.docker_host,
        own_container_id,
        own_addresses,
        filters=settings.docker_container_filters,
        prefers_ipv6=settings.prefer_ipv6_network,
    )
    certificates = Certificates(
        settings.custom_folder,
        settings.issued_folder,
        settings.live_folder,
        state / "self-signed.pem",
        settings.wanted_folder / "wanted.json",
        given_certificates(settings),
    )
    deployment = Deployment(state)
    runtime = Runtime(settings.run_folder, CRT_LIST, MAPS)
    performer = Performer(
        deployment, runtime, Listener(settings.https_port, settings.enable_proxy_protocol), check_configuration
    )
    agent = Agent(
        settings,
        Templates(templates, settings),
        containers,
        certificates,
        deployment,
        runtime,
        performer,
        clock,
        Surroundings(
            settings.errors_folder,
            settings.htpasswd_folder,
            settings.ca_cert_file or settings.ca_cert,
            settings.enable_ipv6,
        ),
        Trials(settings, settings.run_folder, check_configuration).extra,
        SessionTickets(state / "tickets.json").keys,
    )
    return Parts(agent, containers, certificates, deployment)
