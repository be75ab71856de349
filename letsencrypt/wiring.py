"""The loop of the letsencrypt container and what is around it, each fitted to what it needs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from letsencrypt.certonly import Directory
from letsencrypt.control import Control
from letsencrypt.crew import RING
from letsencrypt.desk import Desk
from letsencrypt.discovery import source_of
from letsencrypt.forks import Certbot, ForkServer
from letsencrypt.health import Heartbeat
from letsencrypt.hooks import start_courier
from letsencrypt.issuer_parts import IssuerParts, rehearsals
from letsencrypt.issuers import Issuers
from letsencrypt.leftovers import Leftovers
from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.loop import Loop
from letsencrypt.manual import commissions_of
from letsencrypt.publish import Publisher
from letsencrypt.revocation import Revocations
from letsencrypt.revoker import Revoker
from letsencrypt.runner import Outcome
from letsencrypt.settings import Settings
from letsencrypt.snapshot import Volumes
from letsencrypt.state_file import let_go
from letsencrypt.succession import Succession
from letsencrypt.tidying import Tidying
from letsencrypt.watch import DEPLOY_HOOKS, EVENTS_FOLDER, Watch
from letsencrypt.webroot import ChallengeFolder, ChallengeServer
from proxy_agent.daemon.wakeup import Wakeup


def bell() -> Wakeup:
    """What the loop sleeps in: the ends of runs ring, and no burst of them is worth waiting for."""
    return Wakeup(quiet=0.02, at_most=0.1)


def wire(
    settings: Settings,
    wakeup: Wakeup,
    now: Callable[[], datetime],
    random: Callable[[], float],
    server: ForkServer | None = None,
) -> tuple[ChallengeServer, Loop]:
    """The challenge server, which listens already, and the loop; raises OperationalError if it cannot listen.

    certbot is forked from *server*, which loops that follow each other may share; else from one of this loop's own.
    """
    challenges = ChallengeFolder(settings.webroot)
    challenges.prepare()
    certbot = _certbot(settings, wakeup, now, server)
    succession = _succession(settings, now)
    parts = IssuerParts(
        settings=settings,
        wakeup=wakeup,
        now=now,
        random=random,
        certbot=certbot,
        load_balancer=LoadBalancer(settings.load_balancer, challenges, wakeup),
        succession=succession,
        rehearse=rehearsals(settings, certbot, now),
    )
    let_go(settings.letsencrypt_folder)
    loop = _loop(parts, _revoker(settings, certbot, now, random))
    return ChallengeServer(challenges, settings.challenge_port), loop


def _succession(settings: Settings, now: Callable[[], datetime]) -> Succession:
    def held(directory: Directory) -> Publisher:
        return Publisher(directory.config_folder(settings.letsencrypt_folder), settings.certs_folder, now)

    return Succession(settings.options.directory, settings.fallbacks, held, now)


def _loop(parts: IssuerParts, revoker: Revoker) -> Loop:
    """The loop around all issuers, with what is asked of it from outside."""
    settings, wakeup, now, succession = parts.settings, parts.wakeup, parts.now, parts.succession
    commissions = commissions_of(settings)
    source = source_of(settings, now, commissions.wishes)
    leftovers = Leftovers(settings.certs_folder, settings.letsencrypt_folder, now)
    promise = Heartbeat(settings.heartbeat).promise
    control = Control(settings.control_folder)
    desk = Desk(control, source.lineages, commissions, revoker, succession, leftovers.forget, now)
    tidy = Tidying(lambda: leftovers.withdraw(source.names()), watch_of(settings, now).look, now)
    return Loop(source.lineages, Issuers(parts.issuer, succession), tidy, wakeup, promise, now, desk)


def _revoker(settings: Settings, certbot: Certbot, now: Callable[[], datetime], random: Callable[[], float]) -> Revoker:
    """Revokes in the loop's thread, which waits for it: that is one request."""
    promise = Heartbeat(settings.heartbeat).promise

    def revoke(words: Sequence[str], folder: Path) -> Outcome:
        promise(None)
        return certbot.run(words, folder)

    work = settings.run_folder / "work" / "revocation"
    return Revoker(Revocations(settings.letsencrypt_folder), settings.certs_folder, work, revoke, now, random)


def watch_of(settings: Settings, now: Callable[[], datetime]) -> Watch:
    """Who looks for events; what is there before the first cycle is none."""
    root = settings.letsencrypt_folder
    volumes = Volumes(root, settings.certs_folder)
    return Watch(volumes, root / EVENTS_FOLDER, settings.listeners, now, start_courier)


def _certbot(settings: Settings, wakeup: Wakeup, now: Callable[[], datetime], server: ForkServer | None) -> Certbot:
    hooks = settings.letsencrypt_folder / EVENTS_FOLDER / DEPLOY_HOOKS
    return Certbot(now, noticed=lambda: wakeup.ring(RING), hooks=hooks, server=server)
