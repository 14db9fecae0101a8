"""The names of spans and attributes: OpenTelemetry's messaging conventions, and what they have no word for.

Semantic conventions 1.45, whose messaging part is still in development: a change of theirs is made here only.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "CONVERSATION",
    "DESTINATION",
    "ERROR_TYPE",
    "EXECUTION_OUTCOME",
    "EXECUTION_RESUMED",
    "GROUP",
    "MESSAGE",
    "OPERATION_NAME",
    "OPERATION_TYPE",
    "PROCESS_KEY",
    "SCHEMA_URL",
    "STEP",
    "STEP_KEY",
    "SYSTEM",
    "TRACER",
]

TRACER: Final = "onstage"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.45.0"

SYSTEM: Final = "messaging.system"
DESTINATION: Final = "messaging.destination.name"
"""The type of the event."""
GROUP: Final = "messaging.consumer.group.name"
"""The handler, in full: service and name."""
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGE: Final = "messaging.message.id"
"""The public id of the event."""
CONVERSATION: Final = "messaging.message.conversation_id"
"""The public id of the process."""
ERROR_TYPE: Final = "error.type"

PROCESS_KEY: Final = "onstage.process.key"
EXECUTION_OUTCOME: Final = "onstage.execution.outcome"
"""What the run came to: done, waiting, retrying, dead letter and so on."""
EXECUTION_RESUMED: Final = "onstage.execution.resumed"
"""Whether the execution had run before."""
STEP: Final = "onstage.step.name"
STEP_KEY: Final = "onstage.step.position"
