"""What a handler or workflow may use besides the names at the root: sections of it, and what long ones need."""

from onstage.runtime.scope import scope, shield

__all__ = ["scope", "shield"]
