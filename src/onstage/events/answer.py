"""Requests and their answers: what is said by whoever asks, starts a workflow, or answers.

An answer is an event of type ``onstage.answer/<type of the request>``. It names the request it is about and holds a
value or a failure. The start of a workflow is a request as well, of type ``onstage.start/<service.workflow>``.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, Final, Generic, TypeVar, get_args, get_origin

import msgspec

from onstage.events.codec import Codec, codec_for
from onstage.events.event import EventType, define_event, event_type, mark_event

__all__ = [
    "ANSWER_PREFIX",
    "DUPLICATE",
    "START_PREFIX",
    "START_SOURCE",
    "Answer",
    "Request",
    "answer_type",
    "asked_name",
    "is_answer",
    "is_request",
    "response_codec",
    "response_of",
    "start_type",
    "why_no_request",
]

R_co = TypeVar("R_co", covariant=True)

ANSWER_PREFIX: Final = "onstage.answer/"
START_PREFIX: Final = "onstage.start/"
DUPLICATE: Final = "duplicate"
"""The kind of failure that says: the id of a child was used before with another input."""
START_SOURCE: Final = "//onstage/start"
"""What the id of a start is unique in, with the name of the workflow behind it."""
_NOBODY: Final = object()


class Request(Generic[R_co]):
    """The base of an event class that demands an answer of type ``R``: ``class GetQuote(Request[Quote])``.

    It has no fields and goes with every kind of event class; ``@event`` stands on top as for any event. Ask with
    ``await ask(GetQuote("sku"))``, answer with ``@service.answers``.
    """

    __slots__ = ()


def _null() -> msgspec.Raw:
    return msgspec.Raw(b"null")


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was answered: ``about`` is the public id of the request, ``value`` the result as JSON.

    Or a ``failure``: what kind it is (``rejected``, ``cancelled``, ``dropped``, ``terminated``), and why.
    """

    about: str
    value: msgspec.Raw = msgspec.field(default_factory=_null)
    failure: tuple[str, str] | None = None


def is_request(cls: object) -> bool:
    """Say whether ``cls`` is a class that demands an answer."""
    return isinstance(cls, type) and issubclass(cls, Request)


def why_no_request(cls: type[object]) -> str:
    """Say why an object of this class cannot be asked, and what to do: two lines, for below what was tried."""
    if is_request(cls):
        return f"  why: {cls.__name__} is based on Request, and is no event\n  to do: write @event above the class"
    return (
        "  why: it is no request, so nobody knows what answers it\n  to do: base its event class on Request[TheAnswer]"
    )


def is_answer(type_name: str) -> bool:
    """Say whether events of this type are answers."""
    return type_name.startswith(ANSWER_PREFIX)


def asked_name(type_name: str) -> str:
    """Return what the user calls this request, start or answer: the name of the request's type, or of the workflow."""
    return type_name.removeprefix(ANSWER_PREFIX).removeprefix(START_PREFIX)


@cache
def answer_type(request: str) -> EventType:
    """Return the event type of answers to requests of this type: one for each name, so that names stay names."""
    cls = msgspec.defstruct("Answer", [], bases=(Answer,), frozen=True, module=__name__)
    return mark_event(cls, define_event(cls, name=f"{ANSWER_PREFIX}{request}", where=""))


def start_type(workflow: str, codec: Codec[Any], where: str) -> EventType:
    """Return the event type that starts the workflow with this full name; its payload is the workflow's input."""
    cls = type("Start", (), {"__module__": __name__})
    return mark_event(cls, EventType(f"{START_PREFIX}{workflow}", 1, cls, None, codec, where))


def response_of(cls: type[Any]) -> object:
    """Return what the request class ``cls`` demands: ``R`` of its ``Request[R]``.

    Raises:
        TypeError: if it does not say so.
        NameError: if it is a name that is not known in the module of the class, or not yet.
    """
    for owner in cls.__mro__:
        for base in getattr(owner, "__orig_bases__", ()):
            if get_origin(base) is Request:
                return _resolved(get_args(base)[0], owner)
    message = f"{cls.__qualname__} does not say what it demands; write class {cls.__qualname__}(Request[TheAnswer])"
    raise TypeError(message)


def _resolved(part: Any, owner: type[Any]) -> object:
    text = part if isinstance(part, str) else getattr(part, "__forward_arg__", _NOBODY)
    if not isinstance(text, str):
        return part
    return eval(text, vars(sys.modules[owner.__module__]))  # noqa: S307  the module's own annotation


def response_codec(cls: type[Any]) -> Codec[Any]:
    """Return the codec of what the request class ``cls`` demands. Raises NoCodec, and as ``response_of`` does."""
    event_type(cls)
    return codec_for(response_of(cls))
