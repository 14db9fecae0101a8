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
    "START_PREFIX",
    "Answer",
    "Request",
    "answer_type",
    "is_answer",
    "is_request",
    "response_codec",
    "response_of",
    "start_type",
]

R_co = TypeVar("R_co", covariant=True)

ANSWER_PREFIX: Final = "onstage.answer/"
START_PREFIX: Final = "onstage.start/"
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


def is_answer(type_name: str) -> bool:
    """Say whether events of this type are answers."""
    return type_name.startswith(ANSWER_PREFIX)


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
