"""Durable calls beyond those of the root: what a handler or workflow rarely needs."""

from onstage.runtime.continuing import continue_as_new

__all__ = ["continue_as_new"]
