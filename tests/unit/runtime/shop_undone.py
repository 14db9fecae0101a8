"""A small shop in memory whose processes are undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tests.unit.runtime.playhouse import Approved, Paid, Placed, Refused

from onstage import Process, Reject, Retry, Service, step, wait
from onstage.errors import RetryAfter

Parts = tuple[Service | Process, ...]


def undone_shop(
    did: list[str],
    *,
    undo: bool = True,
    fails: Callable[[str], bool] = lambda _: False,
    on_undo_failure: Literal["wait", "residue"] = "wait",
    spent: bool = False,
) -> Parts:
    """Two handlers, one after the other: amounts below 0 are refused, 0 rejects, above 9 waits for an approval.

    What `fails` is tried again in an hour; at once, if it is to be `spent`, or is given up when it is.
    """
    stock, till = Service("stock"), Service("till")

    def put_back(result: str, id: str) -> None:
        if fails("shelf"):
            raise ConnectionError("locked") if spent or on_undo_failure == "residue" else RetryAfter("1h")
        did.append(f"-shelf {result}")

    async def give_back(result: str, id: str) -> None:
        did.append(f"-money {result}")

    @step(undo=put_back)
    async def shelf(id: str) -> str:
        did.append("+shelf")
        return id

    @step(undo=give_back)
    def money(id: str) -> str:
        did.append("+money")
        return id

    @stock.on(Placed, retry=Retry(1))
    async def reserve(e: Placed) -> Paid:
        await shelf(e.id)
        return Paid(e.id, str(e.amount))

    @till.on(Paid, retry=Retry(1))
    async def take(e: Paid) -> Refused | Approved:
        await money(e.id)
        amount = int(e.by)
        if amount < 0:
            return Refused(e.id)
        if amount == 0:
            raise Reject("nothing to pay")
        if amount > 9:
            await wait(Approved)
        return Approved(e.id)

    return (
        stock,
        till,
        Process("order", starts=Placed, done=Approved, failed=Refused, undo=undo, on_undo_failure=on_undo_failure),
    )


WHOLE = ["+shelf", "+money", "-money o1", "-shelf o1"]
