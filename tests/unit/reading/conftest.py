"""The tiny app of the command line's tests: what is read here was written by it."""

from tests.unit.cli.conftest import tiny

__all__ = ["tiny"]
