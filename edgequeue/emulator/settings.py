"""What may be changed while the emulator runs: attributes kept in the options, the mood, the tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Generic, Self, TypeVar, overload

from edgequeue.emulator.mood import Mood
from edgequeue.emulator.options import Options
from edgequeue.emulator.routing import Services

T = TypeVar("T")


class Setting(Generic[T]):
    """Reads and replaces the option of its own name. A wrong value is the ValueError of `Options`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Adjustable, owner: type) -> T: ...
    def __get__(self, instance: Adjustable | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value: T = getattr(instance.options, self._name)
        return value

    def __set__(self, instance: Adjustable, value: T) -> None:
        instance.options = replace(instance.options, **{self._name: value})  # type: ignore[arg-type]


class Adjustable:
    """The attributes of the emulator that may be set while it runs; they hold from the next request on."""

    token = Setting[str | None]()
    client_id = Setting[str | None]()
    client_secret = Setting[str | None]()
    token_seconds = Setting[float]()
    token_milliseconds = Setting[bool]()
    org_id = Setting[str | None]()
    error_shape = Setting[str]()
    smile = Setting[bool]()
    sandbox = Setting[str | None]()
    public_token = Setting[str | None]()
    private_key = Setting[str | None]()
    unknown_flows = Setting[str]()

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def options(self) -> Options:
        """What the services know now."""
        return self._services.options

    @options.setter
    def options(self, options: Options) -> None:
        self._services.options = options

    @property
    def mood(self) -> Mood | None:
        """What draws faults by chance; None: nothing does."""
        return self._services.mood

    @mood.setter
    def mood(self, mood: Mood | None) -> None:
        self._services.mood = mood

    def revoke_tokens(self) -> None:
        """Refuse all tokens that IMS has issued so far, as if they had expired."""
        self._services.tokens.revoke()
