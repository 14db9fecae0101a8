"""Durable choreography for Python microservices."""

from onstage.app import App, connect
from onstage.contracts.process import Process
from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.errors import Reject
from onstage.events.answer import Request
from onstage.events.envelope import Envelope
from onstage.events.event import event
from onstage.runtime.asking import ask, start
from onstage.runtime.calls import emit, idempotency_key, now, random, resource, sleep, uuid, wait
from onstage.runtime.gather import gather, race, spawn
from onstage.runtime.patched import patched
from onstage.runtime.step import step, transaction

__all__ = [
    "App",
    "Envelope",
    "Process",
    "Reject",
    "Request",
    "Retry",
    "Service",
    "ask",
    "connect",
    "emit",
    "event",
    "gather",
    "idempotency_key",
    "now",
    "patched",
    "race",
    "random",
    "resource",
    "sleep",
    "spawn",
    "start",
    "step",
    "transaction",
    "uuid",
    "wait",
]
