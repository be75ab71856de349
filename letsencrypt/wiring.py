"""The parts of the letsencrypt container, each fitted to what it needs."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from letsencrypt.advice import prepare_advice
from letsencrypt.budget import limits_of
from letsencrypt.certonly import (
    PRODUCTION,
    STAGING,
    Directory,
    Folders,
    arguments,
    rehearsal,
    rehearsal_folders,
)
from letsencrypt.checkup import Checkup
from letsencrypt.control import Control
from letsencrypt.crew import Crew
from letsencrypt.discovery import source_of
from letsencrypt.edges import Edges
from letsencrypt.health import Heartbeat
from letsencrypt.hooks import start_courier
from letsencrypt.issuer import Issuer
from letsencrypt.leftovers import Leftovers
from letsencrypt.lineages import Lineage
from letsencrypt.loadbalancer import LoadBalancer
from letsencrypt.loop import Loop
from letsencrypt.places import Places
from letsencrypt.preflight_command import preflight_of, resolver_of
from letsencrypt.preflight_gate import Gate
from letsencrypt.publish import Publisher
from letsencrypt.records import Permit
from letsencrypt.recovery import Outside
from letsencrypt.renewal_hooks import share_hooks
from letsencrypt.runner import Certbot, Outcome
from letsencrypt.settings import Settings
from letsencrypt.snapshot import Volumes
from letsencrypt.state_file import StateFile, let_go, state_folder
from letsencrypt.tidying import Tidying
from letsencrypt.watch import DEPLOY_HOOKS, EVENTS_FOLDER, Watch
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
    certbot = Certbot(now, hooks=settings.letsencrypt_folder / EVENTS_FOLDER / DEPLOY_HOOKS)
    rehearse = _rehearsals(settings, certbot, now)

    def issuer_of(directory: Directory) -> Issuer:
        config = directory.config_folder(settings.letsencrypt_folder)
        share_hooks(settings.letsencrypt_folder, config)
        folders = Folders(config, settings.run_folder / "work" / config.name, config / "logs", settings.webroot)
        places = Places(folders)
        options = replace(settings.options, directory=directory)
        names = frozenset(lineage.name for lineage in settings.domains.lineages)

        def words(lineage: Lineage) -> list[str]:
            return arguments(lineage, options, folders, settings.email)

        def run_certbot(lineage: Lineage, permit: Permit) -> Outcome:
            with places.taken() as here:
                prepare_advice(config, lineage.name, permit.ask_anew)
                command = arguments(lineage, options, here, settings.email)
                return certbot.run(command, here.work, permit.journal, permit.refusal)

        gate = Gate(preflight_of(settings, directory, now), settings.preflight, settings.allow_subset)
        edges = Edges(
            certbot=run_certbot,
            checkup=Checkup(folders, directory, names, now),
            publisher=Publisher(config, settings.certs_folder, now),
            load_balancer=load_balancer,
            sleep=wakeup,
            crew=Crew(wakeup.ring),
            keeper=StateFile(state_folder(directory, settings.letsencrypt_folder)),
            configuration=lambda lineage: digest(words(lineage)),
            promise=promise,
            now=now,
            random=random,
            looking=Outside(directory.url, resolver_of(settings), now),
            preflight=gate,
            tell=gate.tell,
            rehearse=rehearse if directory.url == PRODUCTION else None,
        )
        return Issuer(directory.host, settings.renewal_interval, edges, limits_of(directory), settings.concurrency)

    let_go(settings.letsencrypt_folder)
    return ChallengeServer(challenges, settings.challenge_port), _loop(settings, issuer_of, wakeup, now)


def _loop(
    settings: Settings, issuer_of: Callable[[Directory], Issuer], wakeup: Wakeup, now: Callable[[], datetime]
) -> Loop:
    """The loop around all issuers, with what is asked of it from outside."""
    source = source_of(settings, now)
    leftovers = Leftovers(settings.certs_folder, settings.letsencrypt_folder, now)
    tidy = Tidying(lambda: leftovers.withdraw(source.names()), watch_of(settings, now).look, now)
    return Loop(
        source.lineages,
        issuer_of,
        tidy,
        wakeup,
        Heartbeat(settings.heartbeat).promise,
        now,
        Control(settings.control_folder),
        leftovers.forget,
    )


def watch_of(settings: Settings, now: Callable[[], datetime]) -> Watch:
    """Who looks for events; what is there before the first cycle is none."""
    root = settings.letsencrypt_folder
    volumes = Volumes(root, settings.certs_folder)
    return Watch(volumes, root / EVENTS_FOLDER, settings.listeners, now, start_courier)


def _rehearsals(settings: Settings, certbot: Certbot, now: Callable[[], datetime]) -> Callable[[Lineage], Outcome]:
    """Has names validated by the staging server; from any thread."""
    folders = rehearsal_folders(settings.letsencrypt_folder, settings.run_folder, settings.webroot)
    options = replace(settings.options, directory=Directory(STAGING))
    places = Places(folders)
    checkup = Checkup(folders, options.directory, (), now)
    first = threading.Lock()

    def rehearse(lineage: Lineage) -> Outcome:
        # Who finds no account registers one, so no two may look for it at a time.
        alone = contextlib.nullcontext() if checkup.registered() else first
        with alone, places.taken() as here:
            return certbot.run(rehearsal(lineage, options, here, settings.email), here.work)

    return rehearse


def digest(words: Iterable[str]) -> str:
    """A short name for *words*, which does not tell them."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
