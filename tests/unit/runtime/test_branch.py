"""What a branch weighs: an execution parks when nothing in it can go on, and not before."""

from onstage.runtime.branch import Branch


def weight(branch: Branch) -> int:
    branch.weigh()
    return branch.weight


def test_a_branch_weighs_while_its_code_runs_or_a_call_of_its_own_does() -> None:
    branch = Branch("gather#0/0/")
    assert weight(branch) == 1
    branch.calls = 1
    assert weight(branch) == 1


def test_a_branch_that_waits_for_others_or_for_its_own_tasks_weighs_nothing() -> None:
    branch = Branch("gather#0/0/")
    branch.joining = 1
    assert weight(branch) == 0
    branch.joining, branch.aside = 0, 2
    assert weight(branch) == 0


def test_a_branch_that_has_ended_weighs_nothing_unless_it_undoes() -> None:
    branch = Branch("")
    branch.ended = True
    assert weight(branch) == 0
    branch.calls = 1
    assert weight(branch) == 1


def test_weighing_answers_the_difference() -> None:
    branch = Branch("")
    assert [branch.weigh(), branch.weigh()] == [1, 0]
    branch.ended = True
    assert branch.weigh() == -1
