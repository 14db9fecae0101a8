"""Receipts of a store, exported: a fold over them is the store's own ledger, whoever came late."""

import msgspec
from tests.unit.testing.checks.filing import File, settled

from onstage.contracts.manifest import AppManifest, HandlerManifest
from onstage.events.receipt import Receipt, Status, token
from onstage.observe.ledger import Ledger
from onstage.testing.checks.exported_receipts import exported, fold_into

NAMES = ("shop.take", "shop.wait")


def owing(file: File) -> None:
    """Events of the first type are handled by the first handler, from the first epoch on."""
    first = HandlerManifest(name="shop.take", service="shop", triggers=("a.b",))
    manifest = b"x\n" + msgspec.json.encode(AppManifest(handlers=(first,)))
    file.do("insert into onstage_topology values (1, 'x', ?, 0)", manifest)
    file.event(1)
    file.event(2, type=2, process=1, cause=65537)


def xor(*tokens: int) -> bytes:
    delta = 0
    for each in tokens:
        delta ^= each
    return delta.to_bytes(16, "big")


def test_an_output_opens_what_its_topology_says_and_a_latecomer_what_its_token_says(file: File) -> None:
    owing(file)
    take, late = (token("st-i-1", "st-i-1", name, 0) for name in NAMES)
    root = Receipt(1, 1, 0, 0, Status.READY, 1, xor(take))
    latecomer = Receipt(1, 1, 0, 0, Status.READY, 2, xor(late))
    done = Receipt(1, 1, 1, 0, Status.DONE, 3, xor(take), ((2, 2),))
    file.receipts(root, latecomer, done)
    told = list(exported(file.look()))
    assert [each.opens for each in told] == [(("st-i-1", "shop.take"),), (("st-i-1", "shop.wait"),), ()]
    assert [each.receipt.handler for each in told] == ["", "shop.wait", "shop.take"]
    assert told[2].receipt.outputs == (("st-i-2", "a.end"),)
    ledger = Ledger()
    fold_into(ledger, told)
    assert [obliged.handler for obliged in ledger.open("st-i-1")] == ["shop.wait"]
    assert ledger.violations() == []


def test_a_delta_that_leaves_out_an_obligation_is_a_violation(file: File) -> None:
    owing(file)
    other = token("st-i-1", "st-i-1", "shop.nobody", 0)
    file.receipts(Receipt(1, 1, 0, 0, Status.READY, 1, xor(other)), settled(1))
    ledger = Ledger()
    fold_into(ledger, list(exported(file.look())))
    assert not ledger.is_complete("st-i-1")
    file.do("delete from onstage_receipt")
    take = token("st-i-1", "st-i-1", "shop.take", 0)
    file.receipts(Receipt(1, 1, 0, 0, Status.READY, 1, xor(other)), Receipt(1, 1, 1, 0, Status.DONE, 2, xor(take)))
    again = Ledger()
    fold_into(again, list(exported(file.look())))
    assert [row.process for row in again.violations()] == ["st-i-1"]
