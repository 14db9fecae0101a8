"""Manifests: plain values with a digest that does not depend on order."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.contracts.manifest import (
    AppManifest,
    HandlerManifest,
    ProcessManifest,
    StepManifest,
    TypeManifest,
    digest,
    from_stored,
)

RESERVE = HandlerManifest(name="stock.reserve", service="stock", triggers=("a", "b"), emits=("c", "d"))
CHARGE = HandlerManifest(name="payment.charge", service="payment", triggers=("c",))
ORDER = ProcessManifest(name="order", starts=("a",), done=("c",), within_s={"b": 1.0, "d": 2.0})
TYPES = tuple(TypeManifest(name=name, version=1, key=None, schema=7) for name in "abcd")
WHOLE = AppManifest(handlers=(RESERVE, CHARGE), processes=(ORDER,), types=TYPES)


@given(st.permutations([RESERVE, CHARGE]), st.permutations(TYPES), st.permutations(["c", "d"]))
def test_the_digest_does_not_depend_on_order(
    handlers: list[HandlerManifest], types: list[TypeManifest], emits: list[str]
) -> None:
    shuffled = tuple(
        msgspec.structs.replace(each, emits=tuple(emits)) if each is RESERVE else each for each in handlers
    )
    assert digest(AppManifest(handlers=shuffled, processes=(ORDER,), types=tuple(types))) == digest(WHOLE)


@pytest.mark.parametrize(
    "change",
    [{"gating": False}, {"code": 1}, {"emits": ("c",)}, {"was": ("stock.old",)}, {"lane": "until-wait"}],
)
def test_the_digest_sees_every_change_of_a_handler(change: dict[str, object]) -> None:
    changed = msgspec.structs.replace(WHOLE, handlers=(msgspec.structs.replace(RESERVE, **change), CHARGE))
    assert digest(changed) != digest(WHOLE)


def test_the_fingerprint_of_a_shape_stands_for_it_in_the_digest() -> None:
    told = tuple(msgspec.structs.replace(each, shape='{"type": "object"}') for each in TYPES)
    assert digest(msgspec.structs.replace(WHOLE, types=told)) == digest(WHOLE)


def test_a_manifest_survives_the_round_trip() -> None:
    assert msgspec.json.decode(msgspec.json.encode(WHOLE), type=AppManifest) == WHOLE
    assert len(digest(WHOLE)) == 32


def test_a_store_keeps_it_in_a_form_that_is_read_again_and_an_unknown_form_says_nothing() -> None:
    assert from_stored(digest(WHOLE).encode() + b"\n" + msgspec.json.encode(WHOLE)) == WHOLE
    assert from_stored(b"") == from_stored(b"shop 1") == from_stored(b"x\n[]") == AppManifest()


def test_steps_and_alternatives_count_in_any_order() -> None:
    def manifest(*steps: StepManifest, ways: tuple[tuple[str, ...], ...]) -> AppManifest:
        handler = HandlerManifest(name="a.b", service="a", triggers=("e",), steps=steps, alternatives=ways)
        return AppManifest(handlers=(handler,))

    book, pay = StepManifest(name="book", undo=True), StepManifest(name="pay")
    one = digest(manifest(book, pay, ways=((), ("f",))))
    assert digest(manifest(pay, book, ways=(("f",), ()))) == one
    assert digest(manifest(pay, ways=(("f",), ()))) != one
    assert digest(manifest(pay, book, ways=(("f",),))) != one
