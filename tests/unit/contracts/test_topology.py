"""Topologies: who owes what, as of one epoch."""

import msgspec

from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest, TypeManifest
from onstage.contracts.topology import Place, Topology, decode_topology, encode_topology, owner_of

REVIEW = HandlerManifest(name="shop.review", service="shop", triggers=("placed",), waits=("paid",))
AUDIT = HandlerManifest(name="audit.all", service="audit", triggers=("*",), pattern=True, gating=False)
TAKE = HandlerManifest(name="bank.take", service="bank", triggers=("approved",))
ORDER = ProcessManifest(name="order", starts=("placed",), done=("paid",))
WHOLE = AppManifest(
    handlers=(AUDIT, REVIEW, TAKE),
    processes=(ORDER,),
    types=(TypeManifest(name="placed", version=1, key="id", schema=1),),
)
HERE = Place("log-1", 7, "s-i-7")


def test_an_event_obliges_those_who_gate_and_those_who_wait() -> None:
    topology = Topology().with_services(WHOLE, ["shop"], at=HERE)
    assert topology.obligations("placed") == {"shop.review"}
    assert topology.obligations("paid") == {"shop.review/wait"}
    assert topology.subscribers("placed") == (("audit.all", False), ("shop.review", True))


def test_a_node_says_what_its_own_services_are_and_what_nobody_knew() -> None:
    first = Topology().with_services(WHOLE, ["shop"], at=HERE)
    changed = HandlerManifest(name="bank.take", service="bank", triggers=("placed",))
    hearsay = first.with_services(AppManifest(handlers=(changed,)), ["shop"], at=HERE)
    assert [each.name for each in hearsay.handlers] == ["audit.all", "bank.take"]
    assert hearsay.subscribers("placed") == (("audit.all", False),), "the bank's own node knows better"
    own = first.with_services(AppManifest(handlers=(changed,)), ["bank"], at=HERE)
    assert ("bank.take", True) in own.subscribers("placed")


def test_shapes_stay_at_home() -> None:
    told = tuple(msgspec.structs.replace(each, shape='{"type": "object"}') for each in WHOLE.types)
    topology = Topology().with_services(msgspec.structs.replace(WHOLE, types=told), ["shop"], at=HERE)
    assert topology.types == WHOLE.types
    assert topology.with_services(WHOLE, ["shop"], at=HERE) is topology


def test_what_is_not_new_is_the_same_value() -> None:
    first = Topology().with_services(WHOLE, ["shop"], at=HERE, epoch=100)
    assert first.epoch == 100
    assert first.with_services(WHOLE, ["bank"], at=Place("log-2", 9), epoch=200) is first
    assert first.joined["bank"] == HERE


def test_a_later_epoch_is_later_even_if_the_clock_is_behind() -> None:
    first = Topology().with_services(AppManifest(handlers=(REVIEW,)), ["shop"], at=HERE, epoch=100)
    assert first.with_services(WHOLE, ["bank"], at=HERE, epoch=50).epoch == 101


def test_a_topology_survives_the_registry() -> None:
    topology = Topology().with_services(WHOLE, ["shop"], at=HERE, epoch=3)
    assert decode_topology(encode_topology(topology)) == topology
    assert decode_topology(b"{") is None
    assert decode_topology(b'{"epoch": "x"}') is None


def test_the_owner_is_declared_or_the_first_who_gates_the_start() -> None:
    assert owner_of(ORDER, WHOLE.handlers) == "shop"
    assert owner_of(ProcessManifest(name="o", starts=("placed",), done=(), owner="bank"), WHOLE.handlers) == "bank"
    assert owner_of(ProcessManifest(name="o", starts=("nothing",), done=()), WHOLE.handlers) is None
    assert Topology(processes=(ORDER,)).process_started_by("placed") == ORDER
    assert Topology(processes=(ORDER,)).process_started_by("paid") is None
