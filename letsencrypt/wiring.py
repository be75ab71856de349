"""The parts of the letsencrypt container, each fitted to what it needs."""

from collections.abc import Callable
from datetime import datetime

from letsencrypt.certonly import Folders, arguments
from letsencrypt.checkup import Checkup
from letsencrypt.health import Heartbeat
from letsencrypt.issuer import Edges, Issuer
from letsencrypt.lineages import Lineage
from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.publish import Publisher
from letsencrypt.runner import Certbot, Outcome
from letsencrypt.settings import Settings
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.daemon.wakeup import Wakeup


def wire(
    settings: Settings, wakeup: Wakeup, now: Callable[[], datetime], random: Callable[[], float]
) -> tuple[ChallengeServer, Issuer]:
    """The challenge server, which listens already, and the loop; raises OperationalError if it cannot listen."""
    directory = settings.options.directory
    config = directory.config_folder(settings.letsencrypt_folder)
    work = settings.run_folder / "work" / config.name
    folders = Folders(config, work, config / "logs", settings.webroot)
    challenges = ChallengeFolder(settings.webroot)
    challenges.prepare()
    certbot = Certbot(now)
    lineages = () if settings.options.refused else settings.domains.lineages

    def run_certbot(lineage: Lineage) -> Outcome:
        return certbot.run(arguments(lineage, settings.options, folders, settings.email), work)

    edges = Edges(
        certbot=run_certbot,
        checkup=Checkup(folders, directory, frozenset(lineage.name for lineage in lineages), now),
        publisher=Publisher(config, settings.certs_folder, now),
        load_balancer=LoadBalancer(settings.load_balancer, challenges, wakeup),
        sleep=wakeup,
        promise=Heartbeat(settings.heartbeat).promise,
        now=now,
        random=random,
    )
    return ChallengeServer(challenges, settings.challenge_port), Issuer(
        lineages, directory.host, settings.renewal_interval, edges
    )
