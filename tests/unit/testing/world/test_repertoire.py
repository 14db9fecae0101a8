"""The repertoire uses everything that is built, in versions that differ as they say."""

from onstage.testing.world.repertoire import app_of, travel_1, travel_2


def handlers(version: int) -> dict[str, int]:
    return {handler.full_name: handler.code for service in app_of(version).services for handler in service.handlers}


def test_versions_have_one_contract_and_other_code() -> None:
    one, two, three = (handlers(version) for version in (1, 2, 3))
    assert set(one) == set(two) == set(three)
    assert {name for name in one if one[name] != two[name]} == {"road.travel"}
    assert {name for name in one if one[name] != three[name]} == {"road.travel"}
    assert travel_1.__name__ != travel_2.__name__


def test_what_is_built_is_played() -> None:
    every = [handler for service in app_of(1).services for handler in service.handlers]
    assert {handler.on_failure for handler in every} == {"block", "park"}
    assert {handler.lane for handler in every} == {"until-end", "until-wait"}
    assert {handler.gating for handler in every} == {True, False}
    assert any(handler.pattern for handler in every)
    assert any(handler.key for handler in every)
    assert app_of(1) is app_of(1)
