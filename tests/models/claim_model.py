"""Model: who owns the work when several nodes share a store: leases, epochs, and a node that wakes too late.

Models the design of takeover (leases with an epoch, claimed by compare-and-set, the epoch checked in every commit),
of which the fence is built: `Commit.epoch`, `Batch._refusal` and `Writer._check_epoch`, where each start on a file
draws the next epoch. Each obligation takes two commits, a step's result and the settling; both may be on their way at
once. What was sent arrives whatever has become of its sender. Abstracts from time: a lease runs out when it is not
renewed, which a live owner can fail to do; from inboxes, and from steps, which a zombie can repeat (at least once).
Nodes are alike, so that states which differ only in who is who are one.
"""

from collections.abc import Iterator
from typing import NamedTuple

ENTRIES = 2  # of each obligation
NEVER = -1


class Commit(NamedTuple):
    epoch: int
    obligation: int
    expected: int


class Node(NamedTuple):
    epoch: int = 0  # the one it believes it holds, 0 for none
    seen: int = NEVER  # the epoch of the lease that it saw run out
    lengths: tuple[int, ...] = ()  # the journals as it has them, with what it has sent
    asleep: bool = False
    refused: bool = False  # a commit of its present epoch
    sent: tuple[Commit, ...] = ()  # on its way, in order


class Store(NamedTuple):
    lengths: tuple[int, ...]
    epoch: int = 1
    leased: bool = False
    wrong: str | None = None


class State(NamedTuple):
    store: Store
    nodes: tuple[Node, ...]
    crashes: int
    pauses: int
    lapses: int  # how often an owner that is awake fails to renew


class ClaimModel:
    def __init__(
        self, broken: str = "", *, nodes: int = 3, obligations: int = 1, faults: tuple[int, ...] = (2, 1, 1)
    ) -> None:
        self.broken = broken  # the one rule that is left out
        self.first = State(Store((0,) * obligations), (Node(),) * nodes, *faults)

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        for place, node in enumerate(s.nodes):
            rest = s._replace(nodes=s.nodes[:place] + s.nodes[place + 1 :])
            if node.sent:
                yield f"arrive {node.sent[0]}", self._arrive(rest, node)
            if node.asleep:
                yield f"wake {node.epoch}", _with(rest, node._replace(asleep=False))
                continue
            yield from self._own(rest, node) if node.epoch else self._claim(rest, node)
            if s.crashes:
                yield "fault crash", _with(rest._replace(crashes=s.crashes - 1), Node(sent=node.sent))
            if s.pauses and (node.epoch or node.seen != NEVER):
                yield "fault pause", _with(rest._replace(pauses=s.pauses - 1), node._replace(asleep=True))
        if s.store.leased and self.broken != "for ever":
            expired = s._replace(store=s.store._replace(leased=False))
            if not any(node.epoch == s.store.epoch and not node.asleep for node in s.nodes):
                yield "lapse", expired  # by itself if its owner is gone or asleep
            elif s.lapses:
                yield "fault lapse", expired._replace(lapses=s.lapses - 1)

    def _claim(self, rest: State, node: Node) -> Iterator[tuple[str, State]]:
        store = rest.store
        if node.seen == NEVER:
            if not store.leased:
                yield f"see {store.epoch}", _with(rest, node._replace(seen=store.epoch))
            return
        loaded = node.lengths if self.broken == "no reload" and node.lengths else store.lengths
        owner = Node(node.seen + (self.broken != "same epoch"), lengths=loaded, sent=node.sent)
        if (store.epoch == node.seen and not store.leased) or self.broken == "no compare":
            claimed = rest._replace(store=store._replace(epoch=owner.epoch, leased=True))
            yield f"claim {owner.epoch}", _with(claimed, owner)
        else:
            yield f"miss {owner.epoch}", _with(rest, owner if self.broken == "zero rows" else self._lost(node))

    def _own(self, rest: State, node: Node) -> Iterator[tuple[str, State]]:
        if node.refused or node.epoch != rest.store.epoch:
            yield f"drop {node.epoch}", _with(rest, self._lost(node))
        elif not rest.store.leased:
            yield f"renew {node.epoch}", _with(rest._replace(store=rest.store._replace(leased=True)), node)
        for obligation, length in enumerate(node.lengths):
            if length < ENTRIES and not node.refused:
                commit = Commit(node.epoch, obligation, length)
                lengths = _longer(node.lengths, obligation)
                yield f"send {commit}", _with(rest, node._replace(lengths=lengths, sent=(*node.sent, commit)))

    def _lost(self, node: Node) -> Node:
        """Without the work it keeps nothing but what is on its way, or it would go on from what nobody stored."""
        return Node(lengths=node.lengths if self.broken == "no reload" else (), sent=node.sent)

    def _arrive(self, rest: State, node: Node) -> State:
        store, commit, node = rest.store, node.sent[0], node._replace(sent=node.sent[1:])
        stale = commit.epoch != store.epoch
        misfit = commit.expected != store.lengths[commit.obligation]
        if (stale and self.broken != "no fence") or (misfit and self.broken != "no length"):
            return _with(rest, node._replace(refused=node.refused or node.epoch == commit.epoch))
        wrong = "a commit with a stale epoch was written" if stale else "an entry was written twice" if misfit else None
        store = store._replace(lengths=_longer(store.lengths, commit.obligation), wrong=store.wrong or wrong)
        return _with(rest._replace(store=store), node)

    def wrong(self, s: State) -> str | None:
        epochs = [node.epoch for node in s.nodes if node.epoch]
        return "two nodes hold the same epoch" if len(set(epochs)) < len(epochs) else s.store.wrong

    def is_done(self, s: State) -> bool:
        return not any(node.sent for node in s.nodes) and set(s.store.lengths) == {ENTRIES}


def _with(rest: State, node: Node) -> State:
    return rest._replace(nodes=tuple(sorted((*rest.nodes, node))))


def _longer(lengths: tuple[int, ...], place: int) -> tuple[int, ...]:
    return (*lengths[:place], lengths[place] + 1, *lengths[place + 1 :])
