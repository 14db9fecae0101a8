import asyncio
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.unit.runtime.playhouse import PATIENCE_S, Clock

from onstage.core.commit import Commit, Notes
from onstage.errors import UsageError
from onstage.runtime import alerts as module
from onstage.runtime.alerts import ALERTS, Alert, Alerts, post
from onstage.stores.memory import MemoryStore
from onstage.testing.commit_script import DECLARATION
from onstage.testing.inline_workers import InlineWorkers

SECRET = "https://alerts.example.com/hook/s3cret?key=t0ken"
Send = Callable[[str, str, bytes], int]


class Desk:
    """A store with an open outbox, and what a receiver was sent."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(clock=self.clock, workers=InlineWorkers())
        self.sent: list[str] = []
        self.answers: list[int | Exception] = []

    def send(self, url: str, id: str, body: bytes) -> int:
        assert url == SECRET
        assert body == b"{}"
        self.sent.append(id)
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def begin(self) -> Alerts:
        opened = await self.store.open(DECLARATION)
        self.epoch = opened.epoch
        alerts = Alerts(SECRET, InlineWorkers(), self.send)
        await alerts.begin(self.store, self.epoch, self.clock)
        return alerts

    async def keep(self, alerts: Alerts, *ids: str, at: int | None = None) -> None:
        now = self.clock.now_ms()
        notes = alerts.notes([Alert(each, now if at is None else at, b"{}") for each in ids])
        position = self.store.append(Commit(epoch=self.epoch, notes=notes))
        self.store.flush()
        await self.store.durable(position)

    async def until_empty(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.store.reader.notes(ALERTS):  # noqa: ASYNC110  the outbox tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)


def test_alerts_are_sent_in_their_order_and_forgotten() -> None:
    async def story() -> None:
        desk = Desk()
        alerts = await desk.begin()
        await desk.keep(alerts, "a", "b")
        await desk.keep(alerts, "c")
        await desk.until_empty()
        assert desk.sent == ["a", "b", "c"]
        await alerts.close()

    asyncio.run(story())


def test_what_is_not_taken_is_sent_again_under_its_id_and_the_secret_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        desk = Desk()
        desk.answers = [204, OSError(f"cannot reach {SECRET}"), 500, 204]
        alerts = await desk.begin()
        await desk.keep(alerts, "a", "b")
        await desk.until_empty()
        assert desk.sent == ["a", "b", "b", "b"]
        await alerts.close()

    with caplog.at_level(logging.DEBUG):
        asyncio.run(story())
    assert "alerts are not taken by https://alerts.example.com: OSError" in caplog.text
    assert "alerts are taken again" in caplog.text
    assert "s3cret" not in caplog.text
    assert "t0ken" not in caplog.text


def test_what_waits_is_sent_after_a_restart() -> None:
    async def story() -> None:
        desk = Desk()
        desk.answers = [OSError()] * 1_000
        alerts = await desk.begin()
        await desk.keep(alerts, "a", "b")
        await alerts.close()
        desk.store.abandon()
        desk.answers, desk.sent = [], []
        again = await desk.begin()
        await desk.keep(again, "c")
        await desk.until_empty()
        assert desk.sent == ["a", "b", "c"]
        await again.close()

    asyncio.run(story())


def test_what_is_too_old_is_given_up() -> None:
    async def story() -> None:
        desk = Desk()
        alerts = await desk.begin()
        await desk.keep(alerts, "old", at=desk.clock.now_ms() - 86_401_000)
        await desk.keep(alerts, "new")
        await desk.until_empty()
        assert desk.sent == ["new"]
        await alerts.close()

    asyncio.run(story())


def test_a_receiver_that_is_away_for_long_costs_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALERTS_KEPT_MAX", 3)

    async def story() -> None:
        desk = Desk()
        desk.answers = [OSError()] * 100_000
        alerts = await desk.begin()
        await desk.keep(alerts, *"abcde")
        assert [note.number for note in await desk.store.reader.notes(ALERTS)] == [3, 4, 5]
        await alerts.close()

    asyncio.run(story())


def test_what_is_no_address_is_refused_and_not_shown() -> None:
    async def story() -> None:
        for wrong in ("ftp://s3cret", "s3cret", "https://"):
            with pytest.raises(UsageError, match="is no URL") as refused:
                Alerts(wrong, InlineWorkers())
            assert "s3cret" not in str(refused.value)

    asyncio.run(story())


def test_an_alert_is_posted_as_a_cloud_event_with_its_id() -> None:
    seen: list[tuple[str, str | None, str | None, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["Content-Type"], self.headers["Idempotency-Key"], body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert post(f"http://127.0.0.1:{server.server_port}/hook?x=1", "p/1", b"{}") == 202
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert seen == [("/hook?x=1", "application/cloudevents+json", "p/1", b"{}")]


def test_notes_of_no_alerts_are_none() -> None:
    async def story() -> None:
        assert Alerts(SECRET, InlineWorkers()).notes([]) == Notes([], [])

    asyncio.run(story())
