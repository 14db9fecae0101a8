"""No broker: what a client has that holds the store of a service while its node is away. The node publishes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, final

from onstage.errors import BrokerUnavailable
from onstage.ports.broker import Features

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from onstage.ports.broker import Message

__all__ = ["AbsentBroker"]

_TROUBLE: Final = (
    "there is no broker here\n  why: this client only holds the store until a node of the service starts\n"
    "  to do: start it with `onstage run -s SERVICE --broker ...`"
)


@final
class AbsentBroker:
    """Every call raises BrokerUnavailable."""

    features: Features = Features(survives_restart=False, refuses_duplicates=False)
    namespace = "onstage"
    trouble: str | None = _TROUBLE
    payload_bytes_max: int | None = 1 << 20  # as servers take unless they are told otherwise

    def __init__(self) -> None:
        """Nothing to connect to."""
        self.on_connected: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Nobody is there."""
        _absent()

    async def close(self) -> None:
        """Nothing was open."""

    async def state(self) -> NoReturn:
        """Nothing is known."""
        _absent()

    async def publish(self, messages: Sequence[Message]) -> NoReturn:
        """Nothing is published."""
        _absent()

    async def message(self, seq: int) -> NoReturn:
        """Nothing is known."""
        _absent()

    async def cursor(self, name: str, subjects: Sequence[str], *, after: int) -> NoReturn:
        """Nothing is read."""
        _absent()

    async def get(self, key: str) -> NoReturn:
        """Nothing is known."""
        _absent()

    async def put(self, key: str, data: bytes, *, revision: int) -> NoReturn:
        """Nothing is kept."""
        _absent()

    async def ask(self, subject: str, data: bytes, *, timeout_s: float) -> NoReturn:
        """Nobody answers."""
        _absent()

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]]) -> NoReturn:
        """Nobody asks."""
        _absent()


def _absent() -> NoReturn:
    raise BrokerUnavailable(_TROUBLE)
