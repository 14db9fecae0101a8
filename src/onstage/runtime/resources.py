"""What the services' lifespans yield, for steps to ask for by type."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.contracts.service import Service

__all__ = ["Resources"]

T = TypeVar("T")


@final
class Resources:
    """Opens the lifespans of services in order, closes them in reverse."""

    def __init__(self) -> None:
        """Nothing opened yet."""
        self._stack = AsyncExitStack()
        self._by_service: dict[str, tuple[Any, ...]] = {}

    async def open(self, services: Iterable[Service]) -> None:
        """Enter every lifespan; if one fails, those before it are left again."""
        try:
            for service in services:
                if service.lifespan is None:
                    continue
                yielded = await self._stack.enter_async_context(service.lifespan())
                self._by_service[service.name] = yielded if isinstance(yielded, tuple) else (yielded,)
        except BaseException:
            await self._stack.aclose()
            raise

    def of(self, service: str, type_: type[T]) -> T:
        """The service's resource of this type. Raises LookupError, naming what there is."""
        found = self._by_service.get(service, ())
        for candidate in found:
            if isinstance(candidate, type_):
                return candidate
        there = ", ".join(type(each).__name__ for each in found) or "nothing"
        raise LookupError(
            f"service {service} has no resource of type {type_.__name__}\n"
            f"  why: its lifespan yielded {there}\n  to do: yield one from the lifespan of Service({service!r})"
        )

    async def close(self) -> None:
        """Leave the lifespans in reverse order."""
        await self._stack.aclose()
