"""The stream of a namespace: made, checked against what Onstage promises, and read message by message.

JetStream is spoken to by raw requests on `$JS.API.`; their form is in the architecture decision records of NATS (ADR-1
for errors, ADR-31 for reading, ADR-50 for atomic batches).
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from onstage.brokers.nats.link import unavailable
from onstage.errors import UsageError
from onstage.events.subject import covers, log_subjects
from onstage.ports.broker import Logged, LogState, NobodyAnswers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from onstage.brokers.nats.address import Address
    from onstage.brokers.nats.link import Link

__all__ = [
    "CONSUMERS_MAX",
    "MESSAGE_ID",
    "PLAIN_ID",
    "Answer",
    "api",
    "ensure_log",
    "ensure_stream",
    "fetch",
    "fetch_raw",
    "log_name",
    "logged",
    "read_answer",
    "read_state",
]

CONSUMERS_MAX: Final = 10_000
"""How many readers a log may have. Stated, since a server of 2.15 else allows no more than 1,000."""
MESSAGE_ID: Final = "Nats-Msg-Id"
"""The header by which the server recognises a message that comes again."""
PLAIN_ID: Final = "Onstage-Msg-Id"
"""Carries the id of a message that the server knows by another: it said wrongly that it has the message."""

_VERSION_MIN: Final = (2, 12, 7)
_NO_STREAM: Final = 10059
_NAME_TAKEN: Final = 10058
_NO_MESSAGE: Final = 10037
_TOO_MANY_REPLICAS: Final = 10074
_OF_THE_SERVER: Final = "Nats-"


class ApiError(msgspec.Struct):
    """Why the server refuses."""

    code: int = 0
    err_code: int = 0
    description: str = ""

    @property
    def shown(self) -> str:
        """As messages have it."""
        return f"{self.description} ({self.err_code})"


class State(msgspec.Struct):
    """What a stream holds."""

    messages: int
    first_seq: int
    last_seq: int


class Stored(msgspec.Struct):
    """A message as the server gives it out."""

    subject: str
    seq: int
    data: str = ""
    hdrs: str = ""


@final
class Answer(msgspec.Struct):
    """What the server answers to any request; what a kind of request does not have is left empty."""

    error: ApiError | None = None
    config: dict[str, Any] = {}
    created: str = ""
    state: State | None = None
    message: Stored | None = None
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    count: int = 0

    @property
    def refused(self) -> int:
        """The number of the error, 0 if there is none."""
        return self.error.err_code if self.error else 0


async def api(link: Link, subject: str, body: object = None, *, expected: Collection[int] = ()) -> Answer:
    """Ask JetStream. Raises BrokerUnavailable for each error that is not expected."""
    try:
        reply = await link.request(f"$JS.API.{subject}", b"" if body is None else msgspec.json.encode(body))
    except NobodyAnswers:
        raise unavailable("JetStream does not answer", "the server runs without it, or has no leader now") from None
    answer = read_answer(subject, reply.data)
    if answer.error is not None and answer.error.err_code not in expected:
        raise unavailable(f"the broker refuses {subject}", answer.error.shown)
    return answer


def read_answer(asked: str, data: bytes) -> Answer:
    """What the server says, be it an error. Raises BrokerUnavailable for what is no answer."""
    try:
        return msgspec.json.decode(data, type=Answer)
    except ValueError as error:
        raise unavailable(f"the answer to {asked} is none of JetStream", str(error)) from error


def log_name(namespace: str) -> str:
    """The name of the stream of a namespace."""
    return f"ONSTAGE_{namespace}"


async def ensure_log(link: Link) -> None:
    """Make the stream of the namespace, or check it.

    Raises UsageError if it or the server cannot keep what Onstage promises, BrokerUnavailable if that is not known.
    """
    address = link.address
    if link.version < _VERSION_MIN:
        raise UsageError(
            f"the NATS server at {address.shown} is of version {'.'.join(map(str, link.version))}\n"
            "  why: older ones store no batch as a whole, and have known holes\n"
            f"  to do: run {'.'.join(map(str, _VERSION_MIN))} or newer"
        )
    await ensure_stream(link, _log_config(address), _flaws)


def _log_config(address: Address) -> dict[str, Any]:
    return {
        "name": log_name(address.namespace),
        "subjects": list(log_subjects(address.namespace)),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": address.replicas,
        "duplicate_window": round(address.window_s * 1e9),
        "max_consumers": CONSUMERS_MAX,
        "allow_atomic": True,
        "allow_direct": True,
    }


def _flaws(found: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, bool]:
    subjects = found.get("subjects") or ()
    return {
        "it does not keep all subjects of the namespace": not all(
            any(covers(has, subject) for has in subjects) for subject in asked["subjects"]
        ),
        "a restart forgets what is only in memory": found.get("storage") != "file",
        "a message is gone once it was read": found.get("retention") != "limits",
        "it cannot store a batch as a whole": not found.get("allow_atomic"),
        "it does not say what it has stored": bool(found.get("no_ack")),
        "it says so before it is written": found.get("persist_mode") == "async",
        "it is closed": bool(found.get("sealed")),
        "it changes the subjects of messages": bool(found.get("subject_transform")),
        f"it has fewer than {asked['num_replicas']} replicas": found.get("num_replicas", 1) < asked["num_replicas"],
        "it remembers ids for a shorter time than was asked": found.get("duplicate_window", 0)
        < asked["duplicate_window"],
    }


async def ensure_stream(link: Link, asked: Mapping[str, Any], flaws: Any) -> None:
    """Make a stream unless it exists, then check it: `flaws(found, asked)` says of each flaw whether it has it.

    Raises UsageError for a flaw, or if the server can never make such a stream; BrokerUnavailable otherwise.
    """
    name = asked["name"]
    answer = await api(link, f"STREAM.INFO.{name}", expected=(_NO_STREAM,))
    if answer.refused == _NO_STREAM:
        made = await api(link, f"STREAM.CREATE.{name}", asked, expected=(_NAME_TAKEN, _TOO_MANY_REPLICAS))
        if made.refused == _TOO_MANY_REPLICAS:
            raise UsageError(
                f"the broker cannot keep {asked['num_replicas']} replicas\n  why: it has fewer servers than that\n"
                "  to do: start more servers, or ask for fewer with ?replicas=1"
            )
        answer = await api(link, f"STREAM.INFO.{name}")
    wrong = [flaw for flaw, has_it in flaws(answer.config, asked).items() if has_it]
    if wrong:
        raise UsageError(
            f"the stream {name} cannot keep what Onstage promises\n  why: {'; '.join(wrong)}\n"
            "  to do: change its configuration, or take another namespace"
        )


async def read_state(link: Link, namespace: str) -> LogState:
    """What the log is now. Raises BrokerUnavailable."""
    answer = await api(link, f"STREAM.INFO.{log_name(namespace)}")
    if answer.state is None:
        raise unavailable("the broker does not say what the log is", "its answer has no state")
    state = answer.state
    first = state.first_seq if state.messages else state.last_seq + 1
    return LogState(answer.created, first, state.last_seq, state.last_seq + 1 - first - state.messages)


async def fetch(link: Link, stream: str, query: Mapping[str, Any]) -> Logged | None:
    """A message as the leader of the stream has it, None if it has none. Raises BrokerUnavailable."""
    found = await fetch_raw(link, stream, query)
    return None if found is None else logged(*found)


async def fetch_raw(link: Link, stream: str, query: Mapping[str, Any]) -> tuple[int, str, bytes, dict[str, str]] | None:
    """The place, subject, body and all headers of a message that the leader of the stream has. See `fetch`."""
    answer = await api(link, f"STREAM.MSG.GET.{stream}", query, expected=(_NO_MESSAGE,))
    if answer.message is None:
        return None
    stored = answer.message
    return stored.seq, stored.subject, b64decode(stored.data), _headers(b64decode(stored.hdrs))


def logged(seq: int, subject: str, data: bytes, headers: Mapping[str, str]) -> Logged:
    """A message of the log, without what the server and this layer have written into its headers."""
    message_id = headers.get(PLAIN_ID) or headers.get(MESSAGE_ID)
    own = {name: value for name, value in headers.items() if not name.startswith(_OF_THE_SERVER) and name != PLAIN_ID}
    return Logged(seq, subject, data, own, message_id)


def _headers(raw: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in raw.decode(errors="replace").split("\r\n")[1:] if line)
    return {name: value.strip() for name, _, value in lines}
