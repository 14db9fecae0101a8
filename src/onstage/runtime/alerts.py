"""Alerts: changes of verdict that somebody should look at, sent to one URL.

Theory of operation. An alert is a note in the commit that tells the change, so it is there if and only if the change
is. One task sends them, oldest first, each in a thread, and forgets what was taken; what was not is sent again, later
and later, under the same id, for a day. Nothing waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

import msgspec

from onstage.core.commit import Commit, Note, Notes
from onstage.errors import StoreUnavailable, UsageError
from onstage.ports.store import Refused
from onstage.runtime.task_end import end_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onstage.ports.clock import Clock
    from onstage.ports.store import Store
    from onstage.ports.workers import Workers

__all__ = ["ALERTS", "ALERTS_KEPT_MAX", "ALERT_AGE_S_MAX", "Alert", "Alerts", "post"]

ALERTS: Final = "alert"
"""The topic of alerts that were not taken yet."""
ALERTS_KEPT_MAX: Final = 10_000
"""So many alerts at most wait for a receiver that is away; then the oldest are forgotten."""
ALERT_AGE_S_MAX: Final = 86_400.0
"""An alert of a change that is older than this is not sent (any more)."""
PAGE: Final = 20
PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 60.0
TIMEOUT_S: Final = 10.0
_TAKEN: Final = range(200, 300)
log = logging.getLogger("onstage.alerts")


class Alert(msgspec.Struct, frozen=True):
    """An alert as it is kept: its id, when the change happened (ms), and the body that is sent."""

    id: str
    at: int
    body: bytes


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Alert).decode


def post(url: str, id: str, body: bytes) -> int:
    """Send one alert as a CloudEvent in structured mode; answers the HTTP status. Blocks for some seconds at most.

    Raises OSError or HTTPException if nobody answers. Redirects are not followed.
    """
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    headers = {"Content-Type": "application/cloudevents+json", "Idempotency-Key": id}
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read(1024)
        return response.status
    finally:
        connection.close()


@final
class Alerts:
    """Sends alerts to one URL. `begin` it on an open store, `close` it before the store."""

    def __init__(self, url: str, workers: Workers, send: Callable[[str, str, bytes], int] = post) -> None:
        """`send` runs off the loop. Raises UsageError for what is no URL of HTTP; it is never shown in full."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                "the webhook of alerts is no URL\n  why: it must begin with http:// or https:// and name a host\n"
                "  to do: give one such as https://alerts.example.com/hook"
            )
        self._url = url
        self._shown = f"{parts.scheme}://{parts.hostname}"
        self._workers = workers
        self._send = send
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last = 0
        self._first = 1
        self._is_away = False

    async def begin(self, store: Store, epoch: int, clock: Clock) -> None:
        """Take up what waits, and send."""
        newest = await store.reader.notes(ALERTS, newest_first=True, limit=1)
        oldest = await store.reader.notes(ALERTS, limit=1)
        self._last = newest[0].number if newest else 0
        self._first = oldest[0].number if oldest else self._last + 1
        self._store, self._epoch, self._clock = store, epoch, clock
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Send no more; what waits is sent by the next one."""
        await end_tasks(self._task)

    def notes(self, alerts: Sequence[Alert]) -> Notes:
        """The notes that keep these; for the commit that tells the changes."""
        kept: list[Note] = []
        for alert in alerts:
            self._last += 1
            kept.append(Note(ALERTS, self._last, _ENCODE(alert)))
        dropped: list[tuple[str, int, int]] = []
        if self._last - self._first >= ALERTS_KEPT_MAX:
            first = self._last - ALERTS_KEPT_MAX + 1
            log.warning("%s alerts are forgotten: %s takes none", first - self._first, self._shown)
            dropped.append((ALERTS, self._first, first - 1))
            self._first = first
            kept = [note for note in kept if note.number >= first]
        if kept:
            self._wake.set()
        return Notes(kept, dropped)

    async def _run(self) -> None:
        pause_s = PAUSE_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while await self._send_some():
                    pause_s = PAUSE_S
                continue
            except (OSError, HTTPException, Refused, StoreUnavailable, _NotTakenError) as error:
                self._say_away(error)
            except Exception:
                log.exception("sending alerts failed; it is tried again")
            self._wake.set()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            # What an error of the network says may quote the address, which may hold a secret.
            why = str(error) if isinstance(error, _NotTakenError) else type(error).__name__
            log.warning("alerts are not taken by %s: %s; they are kept and sent again", self._shown, why)
        self._is_away = True

    async def _send_some(self) -> bool:
        """Send the oldest that wait; whether there were any. Those that were taken are forgotten in one commit."""
        self._store.flush()
        try:
            await self._store.durable(self._store.appended)
        except Refused:
            log.debug("a commit was refused; what is there is sent")
        page = await self._store.reader.notes(ALERTS, limit=PAGE)
        done: list[int] = []
        try:
            for note in page:
                await self._send_one(_DECODE(note.body))
                done.append(note.number)
        finally:
            if done:
                await self._forget(done)
        return bool(page)

    async def _send_one(self, alert: Alert) -> None:
        if alert.at < self._clock.now_ms() - ALERT_AGE_S_MAX * 1000:
            log.warning("alert %s is given up: it is too old", alert.id)
            return
        status = await self._workers.run(partial(self._send, self._url, alert.id, alert.body))
        if status not in _TAKEN:
            raise _NotTakenError(f"it answers {status}")
        if self._is_away:
            log.warning("alerts are taken again by %s", self._shown)
        self._is_away = False

    async def _forget(self, numbers: Sequence[int]) -> None:
        dropped = [(ALERTS, numbers[0], numbers[-1])]
        position = self._store.append(Commit(epoch=self._epoch, notes=Notes((), dropped)))
        self._store.flush()
        await self._store.durable(position)
        self._first = max(self._first, numbers[-1] + 1)


class _NotTakenError(Exception):
    """The receiver answered something else than that it has taken the alert."""
