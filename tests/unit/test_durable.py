"""`onstage.durable`: what a handler may use besides the names at the root."""

from onstage import durable
from onstage.runtime import scope


def test_it_only_hands_on_what_its_modules_define() -> None:
    assert durable.scope is scope.scope
    assert durable.shield is scope.shield
    assert {"scope", "shield"} <= set(durable.__all__)
