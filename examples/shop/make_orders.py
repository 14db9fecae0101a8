"""Write orders.jsonl, always the same: 1,000 orders of one day and what the back office decided on the big ones.

Each line is a CloudEvents 1.0 event in JSON. The lines are in the order of time: approvals come minutes or hours after
their order, and those at the end of the file a day too late.
"""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

ORDERS = 1_000
DOORS_OPEN = datetime(2026, 4, 23, 9, tzinfo=UTC)
PRICES = {"crown": 12_900, "dagger": 3_500, "fog machine": 24_900, "thunder sheet": 18_900}
CITIES = ["Athens", "Bayreuth", "Elsinore", "London", "Salzburg", "Stratford", "Venice", "Verona", "Vienna"]
CUSTOMERS = ["Ariel", "Beatrice", "Cordelia", "Falstaff", "Hamlet", "Ophelia", "Portia", "Prospero", "Puck", "Viola"]
REASONS = ["over budget", "the director changed her mind", "we still have one in the attic"]

Line = tuple[datetime, dict[str, object]]


def cloud_event(name: str, at: datetime, *, id: str, source: str, data: dict[str, object]) -> Line:
    """Return one event and its time."""
    attributes: dict[str, object] = {"specversion": "1.0", "id": id, "source": f"//shop.example/{source}"}
    attributes |= {"type": f"shop.{name}", "subject": data["order_id"], "time": at.isoformat()}
    return at, attributes | {"datacontenttype": "application/json", "data": data}


def basket(dice: random.Random) -> tuple[str, int, int]:
    """Draw what is bought: the prop, how many, and the price of one in cents."""
    chance = dice.random()
    if chance < 0.08:
        return "velvet curtain", dice.randint(2, 6), 89_000  # always big
    if chance < 0.14:
        return "Yorick's skull", 1, 4_900  # there are 40
    if chance < 0.17:
        return "trapdoor", 1, 45_000  # there are none
    sku = dice.choice(sorted(PRICES))
    return sku, dice.randint(1, 3), PRICES[sku]


def order_placed(number: int, at: datetime, dice: random.Random) -> Line:
    """Draw one order."""
    sku, quantity, price = basket(dice)
    is_declined = sku in PRICES and dice.random() < 0.06
    order: dict[str, object] = {
        "customer": dice.choice(CUSTOMERS),
        "city": dice.choice(CITIES),
        "sku": sku,
        "quantity": quantity,
        "cents": quantity * price,
        "card": f"{'declined' if is_declined else 'card'}-{dice.randrange(10_000):04}",
        "serenade": dice.random() < 0.12,
    }
    data: dict[str, object] = {"order_id": f"order-{number:04}", "order": order}
    return cloud_event("order-placed", at, id=f"checkout-{number:04}", source="checkout", data=data)


def decision(number: int, placed: datetime, dice: random.Random) -> Line | None:
    """Draw what becomes of a big order: approved, approved too late, rejected, or forgotten."""
    data: dict[str, object] = {"order_id": f"order-{number:04}", "by": dice.choice(["Ms Quickly", "Mr Quince"])}
    soon = placed + timedelta(minutes=dice.randint(2, 300))
    chance = dice.random()
    name = f"decision-{number:04}"
    if chance < 0.55:
        return cloud_event("order-approved", soon, id=name, source="back-office", data=data)
    if chance < 0.70:
        late = placed + timedelta(hours=dice.randint(26, 40))
        return cloud_event("order-approved", late, id=name, source="back-office", data=data)
    if chance < 0.85:
        data["reason"] = dice.choice(REASONS)
        return cloud_event("order-rejected", soon, id=name, source="back-office", data=data)
    return None


def all_lines() -> list[str]:
    """Return the whole file, sorted by time."""
    dice = random.Random(1616)
    lines: list[Line] = []
    at = DOORS_OPEN
    for number in range(1, ORDERS + 1):
        at += timedelta(seconds=dice.randint(5, 60))
        placed = order_placed(number, at, dice)
        lines.append(placed)
        decided = decision(number, at, dice) if '"velvet curtain"' in json.dumps(placed[1]) else None
        if decided:
            lines.append(decided)
    lines.sort(key=lambda line: line[0])
    return [json.dumps(attributes) for _, attributes in lines]


if __name__ == "__main__":
    Path(__file__).with_name("orders.jsonl").write_text("\n".join(all_lines()) + "\n")
