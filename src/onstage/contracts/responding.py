"""What a declaration says of requests: whom a handler asks, and what its result answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast, final

from onstage.contracts.inference import asked_of, result_annotation
from onstage.errors import DefinitionError, refusal
from onstage.events.answer import answer_type, is_request, response_codec, response_of, start_type
from onstage.events.codec import Codec, NoCodec, codec_for
from onstage.events.event import EventType, event_type, is_event, place_of

__all__ = [
    "Asked",
    "Responding",
    "answering",
    "asked_requests",
    "declared_asks",
    "refuse_two",
    "response_codec_of",
    "workflow_start",
]

Function = Callable[..., Any]
_UNKNOWN: Final = object()


class Asked(NamedTuple):
    """A request that a handler makes: the name of its type, and the classes of request and answer."""

    name: str
    request: type[Any]
    answer: type[Any]


@final
@dataclass(frozen=True, slots=True)
class Responding:
    """What a handler's result answers: the type of the request, the type of the answer, and the result's codec.

    ``is_workflow`` says that the request is a start.
    """

    request: str
    answer: EventType
    result: Codec[Any]
    is_workflow: bool

    @property
    def classes(self) -> frozenset[type[Any]]:
        """The one class of event that such a handler emits at its end."""
        return frozenset({self.answer.cls})


# --- asking -----------------------------------------------------------------------------------------------


def declared_asks(owner: str, given: object, where: str) -> tuple[object, ...]:
    """Return what ``asks=`` names, each a request class or a workflow.

    Raises:
        DefinitionError: if one of them is neither.
    """
    listed = tuple(given) if isinstance(given, Iterable) and not isinstance(given, type | str) else (given,)
    for each in listed:
        if _request_name(each) is None:
            mend = "name a class that is based on Request[TheAnswer] and has @event above it, or a workflow"
            raise refusal(f"{owner} has {each!r} in asks=", "it is neither a request nor a workflow", mend, where)
    return listed


def asked_requests(name: str, fn: Function, declared: Iterable[object], where: str) -> tuple[Asked, ...]:
    """Return what ``fn`` asks, by its source and by what was declared, each once.

    Raises:
        DefinitionError: if a request does not say what it demands, or that has no codec.
    """
    found: dict[str, Asked] = {}
    for each in (*asked_of(fn), *declared):
        asked = _request_name(each)
        if asked is None:
            continue
        if isinstance(each, type):
            response_codec_of(each, f"handler {name} asks {asked}", where)
        found[asked] = Asked(asked, _request_class(each), answer_type(asked).cls)
    return tuple(found.values())


def response_codec_of(cls: type[Any], what: str, where: str) -> Codec[Any]:
    """Return the codec of what a request class demands.

    Raises:
        DefinitionError: if it does not say so, or that cannot be stored.
    """
    try:
        return response_codec(cls)
    except (TypeError, NameError) as error:
        why = f"what it demands is not known: {error}"
        mend = f"write class {cls.__qualname__}(Request[TheAnswer]), with a type that JSON can carry"
        raise refusal(what, why, mend, where) from error


def _request_name(each: object) -> str | None:
    if isinstance(each, type):
        return event_type(each).name if is_request(each) and is_event(each) else None
    responding = getattr(each, "responding", None)
    return responding.request if isinstance(responding, Responding) and responding.is_workflow else None


def _request_class(each: object) -> type[Any]:
    return each if isinstance(each, type) else cast("type[Any]", cast("Any", each).triggers[0].cls)


# --- answering --------------------------------------------------------------------------------------------


def answering(
    owner: str, fn: Function, request: type[Any] | None, local_names: Mapping[str, object]
) -> tuple[EventType, Responding]:
    """Return the request that ``fn`` answers, taken from its parameter unless it is given, and how it responds.

    Raises:
        DefinitionError: if it is no request, if the return annotation is another type than it demands, or that type
            cannot be stored.
    """
    where = place_of(fn)
    cls = request if request is not None else _parameter(owner, fn, local_names)
    if not (isinstance(cls, type) and is_request(cls) and is_event(cls)):
        mend = "write @event(...) above a class that is based on Request[TheAnswer], and name that class"
        raise refusal(f"{owner} answers {cls!r}", "it is no request", mend, where)
    known = event_type(cls)
    demanded = _demanded(cls, f"{owner} answers {known.name}", where)
    codec = _result_codec(owner, fn, local_names)
    if demanded is not _UNKNOWN and demanded != codec.type_:
        why = f"the request demands {_shown(demanded)}, the return annotation says {_shown(codec.type_)}"
        raise refusal(f"{owner} cannot answer {known.name}", why, "make the two agree", where)
    return known, Responding(known.name, answer_type(known.name), codec, is_workflow=False)


def workflow_start(name: str, fn: Function, local_names: Mapping[str, object]) -> tuple[EventType, Responding]:
    """Return the event that starts a workflow with this full name, and how it responds.

    Raises:
        DefinitionError: if its input or its result cannot be stored, or is not annotated.
    """
    where, owner = place_of(fn), f"workflow {name}"
    given = _parameter(owner, fn, local_names)
    try:
        codec = codec_for(given)
    except NoCodec as error:
        mend = "take a dataclass, a Struct, an attrs or pydantic class, or plain data"
        raise refusal(f"the input of {owner} cannot be stored", str(error), mend, where) from error
    start = start_type(name, codec, where)
    result = _result_codec(owner, fn, local_names)
    return start, Responding(start.name, answer_type(start.name), result, is_workflow=True)


def _parameter(owner: str, fn: Function, local_names: Mapping[str, object]) -> object:
    parameters = [each for each in inspect.signature(fn).parameters.values() if each.default is each.empty]
    if len(parameters) != 1:
        why = f"its parameters are {inspect.signature(fn)}, but the input is all it is given"
        raise refusal(f"{owner} does not take exactly one thing", why, "put several into a dataclass", place_of(fn))
    annotation = parameters[0].annotation
    if annotation is inspect.Parameter.empty:
        why = "its input is stored, and the annotation says how"
        mend = f"write async def {fn.__name__}({parameters[0].name}: TheType)"
        raise refusal(f"{owner} has a parameter without annotation", why, mend, place_of(fn))
    return _known(owner, fn, annotation, local_names)


def _result_codec(owner: str, fn: Function, local_names: Mapping[str, object]) -> Codec[Any]:
    annotations = getattr(fn, "__annotations__", {})
    if "return" not in annotations:
        mend = f"write async def {fn.__name__}(...) -> TheResult (or -> None)"
        why = "its result is stored, and the annotation says how"
        raise refusal(f"{owner} has no return annotation", why, mend, place_of(fn))
    result = _known(owner, fn, annotations["return"], local_names)
    try:
        return codec_for(result)
    except NoCodec as error:
        mend = "return a dataclass, a Struct, an attrs or pydantic class, or plain data"
        raise refusal(f"the result of {owner} cannot be stored", str(error), mend, place_of(fn)) from error


def _known(owner: str, fn: Function, annotation: object, local_names: Mapping[str, object]) -> object:
    try:
        return result_annotation(fn, annotation, local_names)
    except NameError as error:
        mend = f"define {error.name or 'it'} above the function, or import it there"
        raise refusal(f"an annotation of {owner} cannot be resolved", str(error), mend, place_of(fn)) from error


def _demanded(cls: type[Any], what: str, where: str) -> object:
    try:
        return _none_type(response_of(cls))
    except NameError:
        return _UNKNOWN
    except TypeError as error:
        raise refusal(what, str(error), "say what it demands", where) from error


def _none_type(annotation: object) -> object:
    return type(None) if annotation is None else annotation


def _shown(annotation: object) -> str:
    return getattr(annotation, "__qualname__", None) or str(annotation)


def refuse_two(first: tuple[str, str], second: tuple[str, str], request: str) -> DefinitionError:
    """The refusal of a second handler that answers a request; both are (full name, place)."""
    what = f"handlers {first[0]} and {second[0]} both answer {request}"
    why = f"the other is at {first[1]}, and a request has one answer"
    return refusal(what, why, "let one of them answer; give the other a request of its own", second[1])
