"""Fair queues: order within a tenant, turns between tenants, and no level that starves."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.core.fair_queue import PASSED_OVER_MAX, PRIORITY_MAX, FairQueue

PUSHED = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, PRIORITY_MAX)), max_size=200)


def filled(pushed: list[tuple[str, int]]) -> FairQueue[tuple[str, int, int]]:
    queue: FairQueue[tuple[str, int, int]] = FairQueue()
    for n, (tenant, priority) in enumerate(pushed):
        queue.push((tenant, priority, n), tenant=tenant, priority=priority)
    return queue


@given(PUSHED)
def test_everything_comes_out_once_and_in_order_within_tenant_and_level(pushed: list[tuple[str, int]]) -> None:
    queue = filled(pushed)
    popped = [queue.pop() for _ in range(len(queue))]
    assert sorted(n for _, _, n in popped) == list(range(len(pushed)))
    for tenant in "abcd":
        for priority in range(PRIORITY_MAX + 1):
            own = [n for t, p, n in popped if (t, p) == (tenant, priority)]
            assert own == sorted(own)
    assert queue.tenants == 0
    assert queue.top == -1


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=300))
def test_a_tenant_waits_for_at_most_one_item_of_each_other(tenants: list[str]) -> None:
    queue = filled([(tenant, 4) for tenant in tenants])
    left = Counter(tenants)
    since: Counter[str] = Counter()
    while queue:
        tenant = queue.pop()[0]
        left[tenant] -= 1
        since.update(other for other in left if other != tenant and left[other])
        since[tenant] = 0
        assert max(since.values()) < len(set(tenants))


@given(PUSHED)
def test_no_level_is_passed_over_more_often_than_it_says(pushed: list[tuple[str, int]]) -> None:
    queue = filled(pushed)
    left = Counter(priority for _, priority in pushed)
    passed: Counter[int] = Counter()
    while queue:
        level = queue.pop()[1]
        left[level] -= 1
        for other in range(level):
            passed[other] += left[other] > 0
        passed[level] = 0
        assert max(passed.values()) <= PASSED_OVER_MAX + PRIORITY_MAX


KINDS = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), min_size=1, max_size=200)


@given(KINDS)
def test_a_tenant_takes_one_turn_for_what_has_begun_and_for_what_is_new(pushed: list[tuple[str, bool]]) -> None:
    """Some of it comes while others are served; nobody waits longer for that."""
    queue: FairQueue[tuple[str, bool]] = FairQueue()
    left: Counter[tuple[str, bool]] = Counter()
    since: Counter[str] = Counter()
    for item in [*pushed, *[None] * len(pushed)]:
        if item is not None:
            queue.push(item, tenant=item[0], has_begun=item[1])
            left[item] += 1
            if len(left) % 3:
                continue
        if not queue:
            break
        tenant, has_begun = queue.pop()
        assert has_begun or not left[tenant, True], "what a tenant has begun goes before what else it has"
        left[tenant, has_begun] -= 1
        since.update({other for other, _ in +left if other != tenant})
        since[tenant] = 0
        assert max(since.values()) < len("abcd")
    while queue:
        left[queue.pop()] -= 1
    assert not +left


def test_what_has_begun_can_be_taken_alone_in_turns() -> None:
    queue: FairQueue[str] = FairQueue()
    for name in ("a1", "a2", "b1", "a3", "b2"):
        queue.push(name, tenant=name[0], has_begun=True)
    queue.push("new", tenant="c")
    assert queue.begun == 5
    assert [queue.pop(begun_only=True) for _ in range(5)] == ["a1", "b1", "a2", "b2", "a3"]
    with pytest.raises(IndexError):
        queue.pop(begun_only=True)
    assert queue.pop() == "new"
    assert queue.tenants == 0


def test_a_turn_that_was_taken_for_what_has_begun_counts_for_what_is_new() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("a new", tenant="a")
    queue.push("b new", tenant="b")
    queue.push("a begun", tenant="a", has_begun=True)
    assert [queue.pop() for _ in range(3)] == ["a begun", "b new", "a new"]


def test_a_higher_level_goes_first() -> None:
    queue = filled([("a", 1)] * 3 + [("a", 8)] * 3)
    assert [queue.pop()[1] for _ in range(6)] == [8, 8, 8, 1, 1, 1]


def test_removing_a_tenant_takes_all_it_has_in_a_level() -> None:
    queue = filled([("a", 4), ("a", 4), ("b", 4), ("a", 5)])
    assert queue.remove(tenant="a", priority=4)
    assert not queue.remove(tenant="a", priority=4)
    assert [queue.pop()[:2] for _ in range(len(queue))] == [("a", 5), ("b", 4)]


def test_an_empty_queue_has_nothing_to_give() -> None:
    with pytest.raises(IndexError):
        FairQueue[int]().pop()


def test_what_is_empty_leaves_nothing_behind() -> None:
    queue: FairQueue[int] = FairQueue()
    for n in range(10_000):
        queue.push(n, tenant=f"tenant {n}", priority=n % 10)
        queue.push(n, tenant="big")
        queue.pop()
        queue.pop()
    assert queue.tenants <= 1
    assert len(queue) == 0
