import onstage.expectations
from onstage.contracts import expectation


def test_it_offers_what_people_write_rules_with() -> None:
    internal = {"refuse_foreign_rules", "with_expectations"}
    assert set(onstage.expectations.__all__) == set(expectation.__all__) - internal
    assert all(
        getattr(onstage.expectations, name) is getattr(expectation, name) for name in onstage.expectations.__all__
    )
