"""Asks an ACME server once more, inside a run of certbot, where one answer got lost and asking again costs nothing.

certbot gives a run up at the first connection that is reset; when the certificate is issued already, that loses one
which the CA counts. Nothing here is undone: it is for a process that runs certbot once.
"""

import functools
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import requests
from acme import errors, messages
from acme.client import ClientNetwork, ClientV2
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential

T = TypeVar("T")

_POLLS = 3
_NO_LONGER = 30.0
"""Seconds after which no other poll is begun; a run of certbot is bounded, too (forks.py TIME_LIMIT)."""
_POSTS = 2
"""Each sends a request again itself, whose nonce was refused."""


def ask_again(asked_to_wait: Callable[[], bool]) -> None:
    """Have polls repeated whose answer got lost, unless the CA *asked to wait*, and requests with a refused nonce.

    A poll changes nothing (RFC 8555 section 7.4), whatever became of the one before. A finalization that got no answer
    is not repeated blindly: the state of the order tells if it has to be.
    """

    def is_passing(error: BaseException) -> bool:
        return _is_passing(error) and not asked_to_wait()

    polls = functools.partial(
        Retrying,
        stop=stop_after_attempt(_POLLS) | stop_after_delay(_NO_LONGER),
        wait=wait_exponential(),
        retry=retry_if_exception(is_passing),
        reraise=True,
    )
    posts = functools.partial(
        Retrying, stop=stop_after_attempt(_POSTS), retry=retry_if_exception(_is_refused_nonce), reraise=True
    )
    ClientNetwork.post = _repeated(ClientNetwork.post, posts)  # type: ignore[method-assign]
    ClientV2.poll = _repeated(ClientV2.poll, polls)  # type: ignore[method-assign]
    ClientV2.poll_finalization = _repeated(ClientV2.poll_finalization, polls)  # type: ignore[method-assign]
    ClientV2.finalize_order = _finalizer(is_passing)  # type: ignore[method-assign]


def _repeated(function: Callable[..., T], retrying: Callable[[], Retrying]) -> Callable[..., T]:
    @functools.wraps(function)
    def repeated(*arguments: object, **more: object) -> T:
        return retrying()(function, *arguments, **more)

    return repeated


def _finalizer(is_passing: Callable[[BaseException], bool]) -> Callable[..., messages.OrderResource]:
    """As that of the acme library, which polls an order that it finds ready by finalizing it again."""

    def finalize_order(
        self: ClientV2, orderr: messages.OrderResource, deadline: datetime, fetch_alternative_chains: bool = False
    ) -> messages.OrderResource:
        try:
            self.begin_finalization(orderr)
        except (messages.Error, errors.ClientError, requests.RequestException) as error:
            if not is_passing(error) and not (isinstance(error, messages.Error) and error.code == "orderNotReady"):
                raise
        return self.poll_finalization(orderr, deadline, fetch_alternative_chains)

    return finalize_order


def _is_passing(error: BaseException) -> bool:
    """Whether it tells of the way to the CA, or of its insides, and not of the order."""
    if isinstance(error, messages.Error):
        return error.code == "serverInternal"
    return isinstance(error, (errors.ClientError, requests.RequestException))


def _is_refused_nonce(error: BaseException) -> bool:
    return isinstance(error, messages.Error) and error.code == "badNonce"
