"""What the routes share: the source that they read, the keys of the door, and the queries and actions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import msgspec

from onstage.web.actions import Actions
from onstage.web.around import audit_page, services_page
from onstage.web.attention import attention
from onstage.web.event_types import event_type_page, event_types_page
from onstage.web.execution_page import ENTRIES_MAX, execution_page
from onstage.web.export import as_diagram, as_json, as_test
from onstage.web.live import Live
from onstage.web.map_page import map_page
from onstage.web.process_list import list_processes
from onstage.web.process_page import EVENTS_MAX, plan_page, process_page
from onstage.web.security import Keys
from onstage.web.source import Source

if TYPE_CHECKING:
    from collections.abc import Collection

    from onstage.web.shown import AttentionPage, ExecutionPage, PlanPage, ProcessesPage, ProcessFilter, ProcessPage
    from onstage.web.shown_around import AuditPage, EventTypePage, EventTypesPage, MapPage, ServicesPage

__all__ = ["Ui"]


@final
class Ui(msgspec.Struct, frozen=True, kw_only=True):
    """One UI. Its queries answer plain values of `shown` and `shown_around`.

    They raise Failure if the store cannot be read, LookupError for what is not there, ValueError for a cursor or
    filter that is none. `app` is the application as module:attribute, for tests that are made from histories. What
    is done goes through `actions`; `live` tells what has changed.
    """

    source: Source
    keys: Keys
    actions: Actions
    live: Live
    app: str | None = None

    async def attention(self) -> AttentionPage:
        """What needs somebody."""
        return await self.source.read(lambda store: attention(self.source, store))

    async def processes(self, wanted: ProcessFilter, *, after: str | None = None, limit: int = 50) -> ProcessesPage:
        """A page of processes."""
        return await self.source.read(
            lambda store: list_processes(self.source, store, wanted, after=after, limit=limit)
        )

    async def process(self, name: str, *, after: int = 0, limit: int = EVENTS_MAX) -> ProcessPage:
        """One process, by its public id or its business key: then the newest of that key."""
        return await self.source.read(lambda store: process_page(self.source, store, name, after=after, limit=limit))

    async def plan(self, name: str) -> PlanPage:
        """What undoing a process would undo, in which order."""
        return await self.source.read(lambda store: plan_page(self.source, store, name))

    async def exported(self, name: str, form: str) -> bytes:
        """A process to take away: as "json", as a "mermaid" diagram, or as a "test"."""
        match form:
            case "json":
                return await self.source.read(lambda store: as_json(self.source, store, name))
            case "mermaid":
                return (await self.source.read(lambda store: as_diagram(self.source, store, name))).encode()
            case "test":
                made = await self.source.read(lambda store: as_test(self.source, store, name, app=self.app))
                return made.encode()
            case _:
                raise LookupError(f"there is no export as {form}: it is none of json, mermaid, test")

    async def execution(self, number: int, *, after: int = -1, limit: int = ENTRIES_MAX) -> ExecutionPage:
        """One execution with its journal."""
        return await self.source.read(
            lambda store: execution_page(self.source, store, number, after=after, limit=limit)
        )

    async def event_types(self) -> EventTypesPage:
        """All event types."""
        return await self.source.read(lambda store: event_types_page(self.source, store))

    async def event_type(self, name: str, *, after: int | None = None, limit: int = 20) -> EventTypePage:
        """One event type with the newest of its events."""
        return await self.source.read(lambda store: event_type_page(self.source, store, name, after=after, limit=limit))

    async def service_map(self, *, services: Collection[str] = (), types: Collection[str] = ()) -> MapPage:
        """The map, or what of it lies around these services and event types."""
        return await self.source.read(lambda store: map_page(self.source, store, services=services, types=types))

    async def services(self) -> ServicesPage:
        """The handlers of each service."""
        return await self.source.read(lambda store: services_page(self.source, store))

    async def audit(self, *, after: int | None = None, limit: int = 50) -> AuditPage:
        """What operators did."""
        return await self.source.read(lambda store: audit_page(self.source, store, after=after, limit=limit))
