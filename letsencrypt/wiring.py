"""The parts of the letsencrypt container, each fitted to what it needs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from letsencrypt.certonly import Directory, Folders, arguments
from letsencrypt.checkup import Checkup
from letsencrypt.discovery import source_of
from letsencrypt.health import Heartbeat
from letsencrypt.issuer import Edges, Issuer
from letsencrypt.leftovers import Leftovers
from letsencrypt.lineages import Lineage
from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.loop import Loop
from letsencrypt.preflight_command import preflight_of
from letsencrypt.preflight_gate import Gate
from letsencrypt.publish import Publisher
from letsencrypt.runner import Certbot, Outcome
from letsencrypt.settings import Settings
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.daemon.wakeup import Wakeup


def wire(
    settings: Settings, wakeup: Wakeup, now: Callable[[], datetime], random: Callable[[], float]
) -> tuple[ChallengeServer, Loop]:
    """The challenge server, which listens already, and the loop; raises OperationalError if it cannot listen."""
    challenges = ChallengeFolder(settings.webroot)
    challenges.prepare()
    load_balancer = LoadBalancer(settings.load_balancer, challenges, wakeup)
    promise = Heartbeat(settings.heartbeat).promise
    certbot = Certbot(now)

    def issuer_of(directory: Directory) -> Issuer:
        config = directory.config_folder(settings.letsencrypt_folder)
        work = settings.run_folder / "work" / config.name
        folders = Folders(config, work, config / "logs", settings.webroot)
        options = replace(settings.options, directory=directory)
        names = frozenset(lineage.name for lineage in settings.domains.lineages)

        def run_certbot(lineage: Lineage) -> Outcome:
            return certbot.run(arguments(lineage, options, folders, settings.email), work)

        edges = Edges(
            certbot=run_certbot,
            checkup=Checkup(folders, directory, names, now),
            publisher=Publisher(config, settings.certs_folder, now),
            load_balancer=load_balancer,
            sleep=wakeup,
            promise=promise,
            now=now,
            random=random,
            preflight=Gate(preflight_of(settings, directory, now), settings.preflight, settings.allow_subset),
        )
        return Issuer(directory.host, settings.renewal_interval, edges)

    source = source_of(settings, now)
    leftovers = Leftovers(settings.certs_folder, settings.letsencrypt_folder, now)
    loop = Loop(source.lineages, issuer_of, lambda: leftovers.withdraw(source.names()), wakeup, promise, now)
    return ChallengeServer(challenges, settings.challenge_port), loop
