"""`onstage complete`."""

from typing import Any

ASKING = """
from dataclasses import dataclass
from pathlib import Path

from onstage import App, Service, event, step
from onstage.durable import CompletedElsewhere, completion_token


@event(key="order_id")
@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    amount: int


bank = Service("bank")


@step(completion_timeout="1h")
def pay(order_id: str) -> str:
    Path("token").write_text(completion_token())
    raise CompletedElsewhere


@bank.on(OrderPlaced)
async def ask(e: OrderPlaced) -> None:
    await pay(e.order_id)


app = App(bank)
"""


def test_a_step_is_completed_by_its_token(tiny: Any) -> None:
    (tiny.folder / f"{tiny.module}.py").write_text(ASKING)
    tiny.play(("o1", 5))
    assert "step pay is completed from outside, attempt 1" in tiny.run("show", "o1").stdout
    token = (tiny.folder / "token").read_text()
    unfit = tiny.run("complete", token, "5")
    assert unfit.exit_code == 2
    assert "the result does not fit step pay" in unfit.stderr
    assert tiny.run("complete", token, "{").exit_code == 2
    done = tiny.run("complete", token, '"paid"')
    assert (done.exit_code, done.stdout) == (0, "step pay of bank.ask is completed\n")
    assert tiny.json("complete", token, '"paid"') == {"done": "step pay of bank.ask is completed"}
    assert tiny.run("complete", token, "--fail", "no").exit_code == 2
    assert tiny.run("complete", "nonsense", "1").exit_code == 2
