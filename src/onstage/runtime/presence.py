"""Presence: which services run, as far as an observer can tell. Each node answers for its services.

A question is put to every service every few seconds, over the broker and beside the log. A service that nobody answers
for is given time to come back. While the broker is away nothing is concluded from silence.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.errors import BrokerUnavailable
from onstage.ports.broker import NobodyAnswers
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from onstage.ports.broker import Broker
    from onstage.runtime.registry import Registry

__all__ = ["AWAY_S", "Presence", "be_present", "presence_subject"]

LOOK_S: Final = 5.0
"""So often each service is asked."""
AWAY_S: Final = 30.0
"""A service that nobody has answered for so long has no live node."""
ANSWER_S: Final = 2.0
log = logging.getLogger("onstage.observer")
_DECODE: Final = msgspec.json.Decoder(list[str]).decode


def presence_subject(namespace: str, service: str) -> str:
    """Where the node of a service is asked which handlers it runs."""
    return f"view.{namespace}.alive.{service}"


async def be_present(broker: Broker, handlers: Collection[str], services: Collection[str]) -> None:
    """Answer from now on that these services run here, with these handlers. Raises BrokerUnavailable."""
    for service in sorted(services):
        own = msgspec.json.encode(sorted(name for name in handlers if name.partition(".")[0] == service))

        async def answer(_: bytes, own: bytes = own) -> bytes:
            return own

        await broker.serve(presence_subject(broker.namespace, service), answer)


@final
class Presence:
    """Asks all services of the topology in force. `start` it, `close` it."""

    def __init__(self, broker: Broker, registry: Registry, changed: Callable[[], None]) -> None:
        """`changed` is told when `missing` is another one."""
        self._broker = broker
        self._registry = registry
        self._changed = changed
        self._silent_since: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self.missing: frozenset[str] = frozenset()
        """The handlers that no live node has."""

    def start(self) -> None:
        """Ask from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ask no more."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except BrokerUnavailable as error:
                self._silent_since.clear()
                log.debug("nobody can be asked whether services run: %s", error)
            except Exception:
                log.exception("asking whether services run failed; it is tried again in %s s", LOOK_S)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask each service once. Raises BrokerUnavailable."""
        missing: set[str] = set()
        for service, handlers in sorted(self._handlers().items()):
            alive = await self._alive(service)
            if alive is not None:
                missing |= handlers - alive
            elif self._is_away(service):
                missing |= handlers
        if missing != self.missing:
            self.missing = frozenset(missing)
            self._changed()

    def _handlers(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for each in self._registry.current.handlers:
            found.setdefault(each.service, set()).add(each.name)
        return found

    async def _alive(self, service: str) -> frozenset[str] | None:
        subject = presence_subject(self._broker.namespace, service)
        try:
            names = frozenset(_DECODE(await self._broker.ask(subject, b"", timeout_s=ANSWER_S)))
        except NobodyAnswers:
            self._silent_since.setdefault(service, asyncio.get_running_loop().time())
            return None
        except (ValueError, RecursionError):
            log.warning("what answers for service %s is no node of Onstage", service)
            return None
        self._silent_since.pop(service, None)
        return names

    def _is_away(self, service: str) -> bool:
        now = asyncio.get_running_loop().time()
        return now - self._silent_since.get(service, now) >= AWAY_S
