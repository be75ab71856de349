"""Reads the settings of one container one by one; what cannot be used costs that setting alone."""

from collections.abc import Callable
from typing import TypeVar

from proxy_agent.routing.metadata import setting
from proxy_agent.routing.model import Container

_T = TypeVar("_T")


class Reader:
    """One container's settings."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.doubts: list[str] = []
        """Why settings are not used as they were written."""

    def text(self, name: str) -> str:
        """What is written there; '' where it is unset."""
        return setting(self._container, name)

    def doubt(self, name: str, reason: str) -> None:
        """Note why *name* is not used as it was written."""
        self.doubts.append(f"{name}: {reason}")

    def value(self, name: str, parse: Callable[[str], _T], default: _T, otherwise: _T | None = None) -> _T:
        """The setting as *parse* reads it; *default* where it is unset, *otherwise* or else that where it is wrong."""
        text = self.text(name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.doubt(name, str(error))
            return default if otherwise is None else otherwise

    def items(
        self, name: str, parse: Callable[[str], tuple[tuple[_T, ...], tuple[str, ...]]], default: tuple[_T, ...] = ()
    ) -> tuple[_T, ...]:
        """A setting that holds several, of which *parse* returns the good ones, and a reason for each other."""
        text = self.text(name)
        if not text:
            return default
        items, reasons = parse(text)
        for reason in reasons:
            self.doubt(name, reason)
        return items
