"""Asking a NATS server about itself, without making or changing anything: raw answers, for whoever judges them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

from onstage.brokers.nats.link import Link
from onstage.brokers.nats.stream import log_name
from onstage.errors import BrokerUnavailable
from onstage.ports.broker import NobodyAnswers

if TYPE_CHECKING:
    from onstage.brokers.nats.address import Address
    from onstage.ports.clock import Clock

__all__ = ["ANSWER_S_MAX", "Survey", "survey"]

ANSWER_S_MAX: Final = 2.0
"""How long each answer is waited for."""


@final
@dataclass(frozen=True, slots=True)
class Survey:
    """What a server says: `account` to `$JS.API.INFO`, `stream` to `$JS.API.STREAM.INFO`, `server` to VARZ.

    Empty is what it did not answer. Only a user of the system account is answered VARZ.
    """

    version: tuple[int, int, int]
    max_payload: int
    account: dict[str, Any] = field(default_factory=dict)
    stream: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)


async def survey(address: Address, clock: Clock) -> Survey:
    """Ask the server at this address.

    Raises BrokerUnavailable if no server answers, UsageError for a login that cannot work.
    """
    link = Link(address, clock, _nothing, lambda: None)
    await link.open()
    try:
        return Survey(
            link.version,
            link.max_payload,
            await _ask(link, "$JS.API.INFO"),
            await _ask(link, f"$JS.API.STREAM.INFO.{log_name(address.namespace)}"),
            (await _ask(link, "$SYS.REQ.SERVER.PING.VARZ")).get("data", {}),
        )
    finally:
        await link.close()


async def _nothing() -> None:
    return


async def _ask(link: Link, subject: str) -> dict[str, Any]:
    try:
        reply = await link.request(subject, timeout_s=ANSWER_S_MAX)
        answer = json.loads(reply.data or b"{}")
    except (NobodyAnswers, BrokerUnavailable, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}
