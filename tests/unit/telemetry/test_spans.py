"""Spans of a real node, as OpenTelemetry's own SDK exports them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from onstage import App, Process, Reject, Service, event, step, wait
from onstage.core.commit import Commit, Refusal, RefusedBecause, execution_id
from onstage.core.identity import Identity
from onstage.events.receipt import Status
from onstage.ports.clock import SystemClock
from onstage.ports.store import BatchOutcome
from onstage.stage import Stage
from onstage.telemetry import instruments
from onstage.telemetry.spans import Run, Spans


@event("span.placed", key="id")
@dataclass(frozen=True)
class Placed:
    id: str


@event("span.approved", key="id")
@dataclass(frozen=True)
class Approved:
    id: str


@event("span.paid", key="id")
@dataclass(frozen=True)
class Paid:
    id: str


shop, mail = Service("shop"), Service("mail")
order = Process("order", starts=Placed, done=Paid, external=[Approved])
current: list[Any] = []
failures: list[Exception] = []


@step
def charge(id: str) -> str:
    current.append(trace.get_current_span().get_span_context())
    if failures:
        raise failures.pop()
    return id


@shop.on(Placed)
async def take(e: Placed) -> Paid:
    await charge(e.id)
    if e.id.startswith("wait"):
        await wait(Approved)
    if e.id.startswith("no"):
        raise Reject("no")
    return Paid(e.id)


@mail.on(Paid)
async def thank(e: Paid) -> None:
    return


APP = App(shop, mail, order)
Spanned = list[ReadableSpan]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(instruments, "provider", lambda: provider)
    current.clear()
    failures.clear()
    yield exporter
    provider.shutdown()


def play(scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        async with APP.run("memory:") as stage:
            await scene(stage)

    asyncio.run(run())


def named(exporter: InMemorySpanExporter, name: str) -> Spanned:
    return [span for span in exporter.get_finished_spans() if span.name == name]


async def completed(stage: Stage, key: str) -> None:
    assert (await (await stage.process(key)).verdict(timeout=10)).is_final


def context(span: ReadableSpan) -> Any:
    assert span.context is not None
    return span.context


def test_a_process_without_waits_is_one_trace_with_a_span_for_each_run_and_step(exported: InMemorySpanExporter) -> None:
    async def scene(stage: Stage) -> None:
        await stage.emit(Placed("o1"))
        await completed(stage, "o1")

    play(scene)
    (taken,), (charged,), (thanked,) = (
        named(exported, name) for name in ("process shop.take", "step charge", "process mail.thank")
    )
    assert len(exported.get_finished_spans()) == 3
    assert len({context(span).trace_id for span in (taken, charged, thanked)}) == 1
    assert taken.parent is None
    assert charged.parent is not None
    assert thanked.parent is not None
    assert charged.parent.span_id == thanked.parent.span_id == context(taken).span_id
    assert current[0].span_id == context(charged).span_id, "what a step calls is a child of the step, also in a thread"
    assert dict(taken.attributes or {}) | {"messaging.message.id": "", "messaging.message.conversation_id": ""} == {
        "messaging.system": "onstage",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "span.placed",
        "messaging.consumer.group.name": "shop.take",
        "messaging.message.id": "",
        "messaging.message.conversation_id": "",
        "onstage.execution.resumed": False,
        "onstage.execution.outcome": "done",
    }
    assert (taken.start_time or 0) <= (taken.end_time or 0)


def test_after_a_wait_a_new_trace_begins_that_links_to_the_first_and_replay_has_no_spans(
    exported: InMemorySpanExporter,
) -> None:
    async def scene(stage: Stage) -> None:
        process = await stage.emit(Placed("wait1"))
        async with asyncio.timeout(10):
            while (await process.verdict()).status != "waiting":  # noqa: ASYNC110  nobody else tells
                await asyncio.sleep(0.005)
        await stage.emit(Approved("wait1"))
        await completed(stage, "wait1")

    with trace.use_span(trace.NonRecordingSpan(REMOTE)):
        play(scene)
    first, second = named(exported, "process shop.take")
    (thanked,) = named(exported, "process mail.thank")
    assert len(named(exported, "step charge")) == 1
    assert (first.attributes or {})["onstage.execution.outcome"] == "waiting"
    assert (second.attributes or {})["onstage.execution.resumed"] is True
    assert context(first).trace_id == REMOTE.trace_id
    assert second.parent is None
    assert context(second).trace_id != REMOTE.trace_id
    assert [link.context.span_id for link in second.links] == [REMOTE.span_id]
    assert context(thanked).trace_id == context(second).trace_id


REMOTE = trace.SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=trace.TraceFlags(1))


def test_the_trace_of_whoever_emits_goes_on_in_the_handlers(exported: InMemorySpanExporter) -> None:
    async def scene(stage: Stage) -> None:
        with trace.use_span(trace.NonRecordingSpan(REMOTE)):
            await stage.emit(Placed("o1"), id="a")
        await completed(stage, "o1")
        async with stage.reading() as reader:
            events = await reader.events()
        assert b"00-00000000000000000000000000001234-0000000000005678-01" in (events[0].extra or b"")
        assert b"00-00000000000000000000000000001234" in (events[1].extra or b"")

    play(scene)
    (taken,) = named(exported, "process shop.take")
    assert context(taken).trace_id == REMOTE.trace_id
    assert taken.parent is not None
    assert taken.parent.span_id == REMOTE.span_id


def test_a_failed_attempt_and_its_repetition_are_two_spans_of_one_trace(exported: InMemorySpanExporter) -> None:
    failures.append(ConnectionError("down"))

    async def scene(stage: Stage) -> None:
        with trace.use_span(trace.NonRecordingSpan(REMOTE)):
            await stage.emit(Placed("o1"))
        await completed(stage, "o1")

    play(scene)
    failed, done = named(exported, "step charge")
    assert (failed.status.status_code, done.status.status_code) == (trace.StatusCode.ERROR, trace.StatusCode.UNSET)
    assert (failed.attributes or {})["error.type"] == "ConnectionError"
    assert "down" not in str(failed.events), "texts of errors may hold what is secret"
    assert {context(span).trace_id for span in exported.get_finished_spans()} == {REMOTE.trace_id}


def test_a_rejection_is_an_outcome(exported: InMemorySpanExporter) -> None:
    async def scene(stage: Stage) -> None:
        await stage.emit(Placed("no"))
        await completed(stage, "no")

    play(scene)
    (taken,) = named(exported, "process shop.take")
    assert (taken.attributes or {})["onstage.execution.outcome"] == "rejected"


def test_nothing_is_exported_before_it_is_durable_nor_what_is_refused(exported: InMemorySpanExporter) -> None:
    async def work() -> None:
        spans = Spans(instruments.provider(), SystemClock())
        spans.begin({1: "shop.take"}, Identity("s", ((1, "i"),)))

        async def handler() -> None:
            await spans.attempt(execution_id(n, 1), "charge", "charge#0", asyncio.sleep(0))

        for n in (1, 2):
            await spans.run(Run(execution_id(n, 1), n, "t", "k", None, None), handler())
            spans.appended(Commit(execution=execution_id(n, 1), status=int(Status.DONE), position=n))
        assert exported.get_finished_spans() == ()
        refused = Refusal(Commit(execution=execution_id(2, 1), position=2), RefusedBecause.CONFLICT)
        spans.durable(BatchOutcome(1, [], {}, []))
        assert [span.name for span in exported.get_finished_spans()] == ["step charge", "process shop.take"]
        spans.durable(BatchOutcome(2, [refused], {}, []))
        assert len(exported.get_finished_spans()) == 2
        assert spans.carried(execution_id(2, 1)) is None

    asyncio.run(work())
