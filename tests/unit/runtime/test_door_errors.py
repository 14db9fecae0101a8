"""Errors on their way from a node to its client."""

import pytest

from onstage import errors
from onstage.runtime.door_errors import rebuilt, told


@pytest.mark.parametrize("error", [errors.DuplicateId("twice"), errors.UsageError("wrong"), LookupError("nothing")])
def test_what_a_caller_may_expect_comes_as_itself(error: Exception) -> None:
    again = rebuilt(*told(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_anything_else_is_a_defect_of_the_node() -> None:
    again = rebuilt(*told(ZeroDivisionError("oh")))
    assert (type(again), str(again)) == (errors.OperationError, "oh")
