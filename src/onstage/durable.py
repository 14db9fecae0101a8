"""What a handler or workflow may use besides the names at the root: sections of it, and what long ones need."""

from onstage.errors import CompletedElsewhere
from onstage.runtime.continuing import continue_as_new
from onstage.runtime.long_step import completion_token, heartbeat, last_heartbeat
from onstage.runtime.scope import scope, shield

__all__ = [
    "CompletedElsewhere",
    "completion_token",
    "continue_as_new",
    "heartbeat",
    "last_heartbeat",
    "scope",
    "shield",
]
