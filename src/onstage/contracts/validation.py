"""What ``App(...)`` checks across services and processes, and the manifest that comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import msgspec

from onstage.contracts.expectation import refuse_foreign_rules
from onstage.contracts.handler import Handler
from onstage.contracts.manifest import AppManifest, TypeManifest, digest
from onstage.contracts.process import Process
from onstage.contracts.responding import refuse_two
from onstage.contracts.service import Service
from onstage.errors import DefinitionError, refusal
from onstage.events.codec import encode_any
from onstage.events.event import EventType, event_type
from onstage.events.process_changed import TOLD_TYPES

__all__ = ["Declared", "declared", "event_types", "validate"]


@final
@dataclass(frozen=True, slots=True)
class Declared:
    """What an application declares: the manifest, its event types, and the manifest as a store keeps it.

    `triggered` and `waited` name the event types that each handler starts at, and may wait for.
    """

    manifest: AppManifest
    types: tuple[EventType, ...]
    stored: bytes
    triggered: Mapping[Handler[Any, Any], tuple[str, ...]]
    waited: Mapping[Handler[Any, Any], tuple[str, ...]]


def declared(services: Sequence[Service], processes: Sequence[Process] = ()) -> Declared:
    """Validate, and return what came of it; for the same handlers and processes it is worked out once.

    Raises:
        DefinitionError: as `validate` does.
    """
    handlers = tuple(handler for service in services for handler in service.handlers)
    return _declared(tuple(services), handlers, tuple(processes))


@lru_cache(maxsize=8)
def _declared(
    services: tuple[Service, ...], handlers: tuple[Handler[Any, Any], ...], processes: tuple[Process, ...]
) -> Declared:
    # A resolved handler does not change any more; a service may have got more of them, and then the key is another.
    manifest = validate(services, processes)
    stored = digest(manifest).encode() + b"\n" + msgspec.json.encode(manifest)
    types = event_types(services, processes)
    triggered = {each: tuple(known.name for known in types if _starts_at(each, known)) for each in handlers}
    waited = {each: tuple(known.name for known in types if known.cls in each.waits) for each in handlers}
    return Declared(manifest, types, stored, triggered, waited)


def _starts_at(handler: Handler[Any, Any], known: EventType) -> bool:
    matches = handler.pattern is not None and handler.pattern.matches(known.name)
    return matches or known in handler.triggers


def validate(services: Iterable[Service], processes: Iterable[Process] = ()) -> AppManifest:
    """Resolve every handler and return what the application declares, sorted by name.

    Raises:
        DefinitionError: if a name of a service, handler (``was=`` included), process or event type is used
            twice, an owner is not among the services, an annotation cannot be resolved, or a rule is about an event
            that cannot belong to its process.
    """
    services, processes = tuple(services), tuple(processes)
    _refuse_duplicate_services(services)
    _refuse_duplicate_processes(processes)
    handlers = [handler for service in services for handler in service.handlers]
    for handler in handlers:
        handler.resolve()
    _refuse_duplicate_handlers(handlers)
    _refuse_two_answers(handlers)
    _refuse_foreign_owners(services, processes)
    manifest = AppManifest(
        handlers=tuple(sorted((each.manifest() for each in handlers), key=lambda each: each.name)),
        processes=tuple(sorted((each.manifest() for each in processes), key=lambda each: each.name)),
        types=tuple(_type_manifest(known) for known in event_types(services, processes)),
    )
    for process in processes:
        refuse_foreign_rules(process, manifest.handlers)
    return manifest


def event_types(services: Iterable[Service], processes: Iterable[Process] = ()) -> tuple[EventType, ...]:
    """Return every event type that resolved handlers and the processes name, sorted by name.

    Raises:
        DefinitionError: if two classes have the same event name.
    """
    by_name: dict[str, EventType] = {}
    for known in _mentioned(services, processes):
        first = by_name.setdefault(known.name, known)
        if first is not known:
            raise _same_event_name(first, known)
    return tuple(by_name[name] for name in sorted(by_name))


def _mentioned(services: Iterable[Service], processes: Iterable[Process]) -> Iterable[EventType]:
    for service in services:
        for handler in service.handlers:
            yield from handler.triggers
            if handler.pattern is not None:
                yield from (known for known in TOLD_TYPES if handler.pattern.matches(known.name))
            yield from map(event_type, sorted(handler.emits | handler.waits, key=_place))
    for process in processes:
        yield from process.event_types
        yield from (known for each in process.rules for known in each.types)


def _place(cls: type[Any]) -> tuple[str, str]:
    # Sets have no order of their own, and the refusal should name the same class each time.
    known = event_type(cls)
    return known.name, known.where


def _type_manifest(known: EventType) -> TypeManifest:
    codec = known.codec
    shape = encode_any(codec.schema()).decode()
    return TypeManifest(name=known.name, version=known.version, key=known.key, schema=codec.fingerprint, shape=shape)


def _same_event_name(first: EventType, second: EventType) -> DefinitionError:
    what = f"two classes are the event {second.name}: {first.cls.__qualname__} and {second.cls.__qualname__}"
    why = f"the other is at {first.where}, and a stored event must have one class"
    mend = f'rename one: @event("{second.name}-2"); if it is one class, its module was imported twice'
    return refusal(what, why, mend, second.where)


def _refuse_duplicate_services(services: tuple[Service, ...]) -> None:
    seen: dict[str, Service] = {}
    for service in services:
        first = seen.setdefault(service.name, service)
        if first is not service:
            why = f"the other is at {first.where}"
            mend = "rename one, or declare the handlers of both on one Service object"
            raise refusal(f"two services are named {service.name}", why, mend, service.where)
    if len(seen) != len(services):
        named = [service.name for service in services]
        twice = next(service for service in services if named.count(service.name) > 1)
        what, why = f"service {twice.name} was given twice", "an application has each service once"
        raise refusal(what, why, "remove one mention from App(...)", twice.where)


def _refuse_duplicate_processes(processes: tuple[Process, ...]) -> None:
    seen: dict[str, Process] = {}
    for process in processes:
        first = seen.get(process.name)
        if first is not None:
            why = f"the other is at {first.where}"
            mend = "rename one, or remove the second mention from App(...)"
            raise refusal(f"two processes are named {process.name}", why, mend, process.where)
        seen[process.name] = process


def _refuse_duplicate_handlers(handlers: list[Handler[Any, Any]]) -> None:
    present = {handler.full_name: handler for handler in handlers}
    former: dict[str, Handler[Any, Any]] = {}
    for handler in handlers:
        for name in handler.was:
            other = present.get(name) or former.get(name)
            if other is not None:
                what = f"handler {handler.full_name} says it was {name}, which is taken by {other.full_name}"
                why = f"the other is at {other.where}, and an identity has one bearer"
                raise refusal(what, why, f'remove "{name}" from was= of one of them', handler.where)
            former[name] = handler


def _refuse_two_answers(handlers: list[Handler[Any, Any]]) -> None:
    first: dict[str, Handler[Any, Any]] = {}
    for handler in handlers:
        request = None if handler.responding is None else handler.responding.request
        if request is None:
            continue
        other = first.setdefault(request, handler)
        if other is not handler:
            raise refuse_two((other.full_name, other.where), (handler.full_name, handler.where), request)


def _refuse_foreign_owners(services: tuple[Service, ...], processes: tuple[Process, ...]) -> None:
    for process in processes:
        if process.owner is not None and process.owner not in services:
            what = f"process {process.name} is owned by service {process.owner.name}, which is absent"
            why = f"the service, declared at {process.owner.where}, is not in the application"
            mend = f"add it to App(...), or choose one of {', '.join(each.name for each in services)}"
            raise refusal(what, why, mend, process.where)
