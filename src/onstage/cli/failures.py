"""How an error is told: what, why and what to do, on three lines of stderr, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

import click

from onstage.errors import OnstageError, OperationError, UsageError
from onstage.reading.failure import Exit, Failure

__all__ = ["Exit", "Failure", "code_of", "report", "text_of"]


def report(error: BaseException, *, debug: bool = False) -> int:
    """Tell the error on stderr; answers the exit code."""
    if isinstance(error, BrokenPipeError):
        # Whoever read us has seen enough; what is left in the buffer must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Exit.INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if debug:
        traceback.print_exception(error)
    click.echo(text_of(error), err=True)
    return code_of(error)


def text_of(error: BaseException) -> str:
    """What to tell about an error, in three lines wherever somebody knew them."""
    if isinstance(error, Failure | OnstageError):
        return str(error)
    if isinstance(error, LookupError) and not isinstance(error, KeyError | IndexError):
        return f"{error}\n  why: nothing in this store has that name\n  to do: `onstage ps` lists what there is"
    if _is_of_sqlite(error):
        return f"the store cannot be read\n  why: {error}\n  to do: run `onstage doctor`"
    if isinstance(error, OSError):
        return f"the system refused it\n  why: {error}\n  to do: check the path, its permissions and the disk"
    kind = type(error).__name__
    return f"{kind}: {error}\n  why: nobody expected this\n  to do: repeat it with --debug and report what it shows"


def code_of(error: BaseException) -> Exit:
    """The exit code for an error."""
    if isinstance(error, Failure):
        return error.code
    if isinstance(error, OperationError) or _is_of_sqlite(error):
        return Exit.UNREACHABLE
    # Its subclasses are about an event; itself it is about how one asked: a store of another kind, and the like.
    return Exit.USAGE if type(error) is UsageError else Exit.FOUND


def _is_of_sqlite(error: BaseException) -> bool:
    return type(error).__module__ == "apsw"
