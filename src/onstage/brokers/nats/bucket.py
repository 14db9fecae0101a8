"""The registry: a key-value bucket of JetStream, spoken to as the stream that it is (ADR-8).

A value is the last message of its subject, and its revision is the place of that message in the stream of the bucket.
Other tools see an ordinary bucket, `ONSTAGE_<namespace>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from onstage.brokers.nats.link import unavailable
from onstage.brokers.nats.stream import ensure_stream, fetch_raw, read_answer
from onstage.events.subject import check_key
from onstage.ports.broker import NobodyAnswers, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.brokers.nats.link import Link

__all__ = ["Registry"]

_OPERATION: Final = "KV-Operation"  # the mark of a value that somebody deleted
_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
_OTHER_REVISION: Final = 10071


@final
class Registry:
    """The values of a namespace."""

    def __init__(self, link: Link) -> None:
        """For the namespace of the link's address."""
        bucket = f"ONSTAGE_{link.address.namespace}"
        self._link = link
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}."

    async def ensure(self) -> None:
        """Make the bucket, or check it. Raises UsageError and BrokerUnavailable."""
        asked = {
            "name": self._stream,
            "subjects": [f"{self._prefix}>"],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_msgs_per_subject": 1,
            "num_replicas": self._link.address.replicas,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "allow_direct": True,
        }
        await ensure_stream(self._link, asked, _flaws)

    async def get(self, key: str) -> Value | None:
        """The value of a key, None if it has none. Raises BrokerUnavailable."""
        value, is_deleted = await self._last(key)
        return None if is_deleted else value

    async def put(self, key: str, data: bytes, revision: int) -> int | None:
        """Set the value if its revision is this one; answers the new revision or None. Raises BrokerUnavailable."""
        now = await self._put(key, data, revision)
        if now is not None or revision:
            return now
        last, is_deleted = await self._last(key)
        return await self._put(key, data, last.revision) if last is not None and is_deleted else None

    async def _put(self, key: str, data: bytes, revision: int) -> int | None:
        subject = self._prefix + check_key(key)
        try:
            reply = await self._link.request(subject, data, headers={_EXPECTED: str(revision)})
        except NobodyAnswers:
            self._link.cut("the registry is gone, or has no leader")
            raise unavailable("the registry takes no value", "its stream is gone, or has no leader") from None
        answer = read_answer(subject, reply.data)
        if answer.refused == _OTHER_REVISION:
            return None
        if answer.error is not None:
            raise unavailable("the registry takes no value", answer.error.shown)
        return answer.seq

    async def _last(self, key: str) -> tuple[Value | None, bool]:
        found = await fetch_raw(self._link, self._stream, {"last_by_subj": self._prefix + check_key(key)})
        if found is None:
            return None, False
        seq, _, data, headers = found
        return Value(data, seq), _OPERATION in headers


def _flaws(found: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, bool]:
    return {
        "a restart forgets what is only in memory": found.get("storage") != "file",
        "it holds other subjects": found.get("subjects") != asked["subjects"],
        f"it has fewer than {asked['num_replicas']} replicas": found.get("num_replicas", 1) < asked["num_replicas"],
        "its values go away by themselves": bool(found.get("max_age")),
    }
