"""What a node publishes, as messages: its events, its receipts, and events from outside on their way to their owner.

Each message says its public id, the service to ask if something of its strand is missing, and its number there: events
and what is sent on are counted per subject, bundles of receipts by their position in the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from onstage.events.binding import to_headers
from onstage.events.subject import control_subject, event_subject, partition_of, receipt_subject
from onstage.events.wire_receipt import WireReceipt, encode_wire
from onstage.ports.broker import Message
from onstage.runtime.marks import ID
from onstage.runtime.strands import store_in
from onstage.runtime.wire import names_of

if TYPE_CHECKING:
    from onstage.core.commit import Note
    from onstage.events.receipt import Receipt
    from onstage.ports.store import Bundle, EventView
    from onstage.runtime.node import Node

__all__ = ["FIRST", "NUMBER", "POSITION", "SERVICE", "WRITER", "Outgoing", "decode_forward", "encode_forward", "is_own"]

WRITER: Final = "onstage-writer"
FIRST: Final = "onstage-first"
POSITION: Final = "onstage-position"
SERVICE: Final = "onstage-service"
NUMBER: Final = "onstage-number"


def is_own(event: EventView) -> bool:
    """Whether this store has logged the event first, so that it is the one to publish it."""
    return names_of(event)[1] is None


@final
class Outgoing:
    """Makes the messages of one node."""

    def __init__(self, node: Node, namespace: str) -> None:
        """For the log of this namespace."""
        self._node = node
        self._namespace = namespace
        self._service = min(node.hosted)

    @property
    def store(self) -> str:
        """The name of the node's store."""
        return store_in(self._node.writers[-1])

    def subject(self, event: EventView) -> str:
        """Where an event is published."""
        return event_subject(self._namespace, partition_of(event.key, event.n), event.type)

    def forward_subject(self, note: Note) -> str:
        """Where an event from outside is sent on to."""
        return control_subject(self._namespace, decode_forward(note.body)[0])

    def event(self, event: EventView, number: int) -> Message:
        """An event, which is the `number`-th of its subject."""
        envelope = msgspec.structs.replace(self._node.envelope(event), sequence=str(number))
        wire = self._node.numbers.identity.wire(event.n)
        headers = to_headers(envelope) | {ID: wire, SERVICE: self._service}
        return Message(self.subject(event), event.data, headers, wire)

    def forward(self, note: Note, number: int) -> Message:
        """An event from outside for its owner, the `number`-th for that one."""
        _, headers, data = decode_forward(note.body)
        said = {SERVICE: self._service, NUMBER: str(number)}
        return Message(self.forward_subject(note), data, headers | said, headers[ID])

    async def bundle(self, bundle: Bundle) -> Message:
        """Receipts."""
        writer, shard = self._node.writers[bundle.epoch - 1], bundle.shard
        name = f"{writer}-r{shard}-{bundle.seq}"
        body = encode_wire(tuple([await self._receipt(receipt) for receipt in bundle.receipts]))
        headers = {
            ID: name,
            WRITER: f"{writer}-r{shard}",
            FIRST: str(bundle.seq),
            POSITION: str(bundle.position),
            SERVICE: self._service,
        }
        return Message(receipt_subject(self._namespace, shard), body, headers, name)

    async def _receipt(self, receipt: Receipt) -> WireReceipt:
        node, numbers = self._node, self._node.numbers
        process, event = receipt.names or numbers.names(receipt.process, receipt.event)
        return WireReceipt(
            process,
            event,
            await self._handler(receipt),
            receipt.segment,
            receipt.status,
            receipt.hlc,
            receipt.delta,
            tuple((numbers.identity.wire(n), node.type_names[type_id]) for n, type_id in receipt.outputs),
            receipt.started,
            receipt.ended,
            receipt.attempts,
            receipt.error,
            receipt.until,
            receipt.waits,
        )

    async def _handler(self, receipt: Receipt) -> str:
        """The name of a handler, as it was when it was obliged: so observers, like tokens, know the obligation."""
        node, reaction = self._node, self._node.reactions.get(receipt.handler)
        if reaction is None or not reaction.handler.was:
            return node.handler_names.get(receipt.handler, "")
        event = await node.store.reader.event(receipt.event)
        return (event and await node.recovery.signed(reaction, event)) or reaction.name


def encode_forward(owner: str, headers: dict[str, str], data: bytes) -> bytes:
    """An event from outside on its way to the owner of its process, as a note."""
    return msgspec.msgpack.encode((owner, headers, data))


def decode_forward(body: bytes) -> tuple[str, dict[str, str], bytes]:
    """The owner, the headers and the payload in such a note."""
    return msgspec.msgpack.decode(body, type=tuple[str, dict[str, str], bytes])
