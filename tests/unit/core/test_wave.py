"""The wave of one part, by hand; random processes in several parts are in `tests/processes/test_waves.py`."""

from onstage.core.wave import Answer, Cancel, Edge, Node, Part, State, Stop, Tombstone, Undo, Wave

LEAF = (Part(None, (), is_due=True),)


def test_a_chain_is_undone_from_its_end() -> None:
    wave = Wave()
    for event, name in ((1, "a"), (2, "b")):
        wave.starts(event, name)
    wave.ended(1, "a", (Part(None, (Edge(2, "b"),), is_due=True),))
    assert wave.take() == [Stop(2, "b")]
    wave.ended(2, "b", LEAF)
    assert wave.take() == [Undo(Node(2, "b", 0))]
    assert not wave.is_over
    wave.undone(Node(2, "b", 0))
    assert wave.take() == [Undo(Node(1, "a", 0))]
    wave.undone(Node(1, "a", 0))
    wave.undone(Node(1, "a", 0))
    assert wave.take() == []
    assert wave.is_over
    assert wave.state(1, "a") is State.UNDONE


def test_what_has_nothing_to_undo_passes_the_answer_on() -> None:
    wave = Wave()
    wave.starts(1, "a")
    wave.starts(2, "b")
    wave.ended(2, "b", (Part(None, (), is_due=False),))
    wave.ended(1, "a", (Part(None, (Edge(2, "b"),), is_due=True),))
    assert wave.take() == [Undo(Node(1, "a", 0))]


def test_an_asker_that_took_its_answer_is_undone_in_two_pieces() -> None:
    """Segment 1 before the answerer, the answerer before segment 0: by whole executions nobody could begin."""
    wave = Wave()
    wave.starts(1, "asker")
    wave.starts(2, "answerer")
    asking = Part(None, (Edge(2, "answerer"),), is_due=True)
    wave.ended(1, "asker", (asking, Part(3, (), is_due=True)))
    wave.ended(2, "answerer", (Part(None, (Edge(3, "asker", waits=True),), is_due=True),))
    order = []
    while actions := wave.take():
        order += [action.node for action in actions if isinstance(action, Undo)]
        wave.undone(order[-1])
    assert order == [Node(1, "asker", 1), Node(2, "answerer", 0), Node(1, "asker", 0)]
    assert wave.is_over


def test_an_edge_to_a_wait_is_not_answered_while_somebody_could_still_take_its_event() -> None:
    wave = Wave()
    wave.starts(1, "emitter")
    wave.starts(2, "waiter")
    wave.ended(1, "emitter", (Part(None, (Edge(3, "waiter", waits=True),), is_due=True),))
    assert wave.take() == [Stop(2, "waiter")]
    wave.ended(2, "waiter", (Part(None, (), is_due=False), Part(3, (), is_due=True)))
    assert wave.take() == [Undo(Node(2, "waiter", 1))]
    wave.undone(Node(2, "waiter", 1))
    assert wave.take() == [Undo(Node(1, "emitter", 0))]


def test_an_edge_to_another_part_is_asked_for_and_a_cancel_that_overtakes_its_event_makes_a_tombstone() -> None:
    here, there = Wave(lambda name: name == "a"), Wave(lambda name: name == "b")
    edge = Edge(2, "b")
    here.starts(1, "a")
    here.ended(1, "a", (Part(None, (edge,), is_due=True),))
    assert here.take() == [Cancel(edge)]
    there.cancel(edge)
    assert there.take() == [Tombstone(2, "b"), Answer(edge, residue=False)]
    assert there.state(2, "b") is State.TOMBSTONE
    there.cancel(edge)
    assert there.take() == [Answer(edge, residue=False)]
    here.answered(edge, residue=True)
    here.answered(edge, residue=True)
    assert here.take() == [Undo(Node(1, "a", 0))]
    assert here.residue == {edge}


def test_it_is_not_over_before_what_came_from_outside_is_undone_everywhere() -> None:
    wave = Wave(lambda name: name == "a")
    assert wave.is_over
    wave.root([Edge(1, "b")])
    assert wave.take() == [Cancel(Edge(1, "b"))]
    assert not wave.is_over
    wave.answered(Edge(1, "b"))
    assert wave.is_over
