"""For users' tests: a simulated world, faults as values, and (in `store_contract`) what every store keeps."""

from onstage.testing.planned_faults import Crash, Delay, Fail, Fault, Recorded, Stub
from onstage.testing.retelling import as_event, reached, types_of
from onstage.testing.sim import Sim

__all__ = ["Crash", "Delay", "Fail", "Fault", "Recorded", "Sim", "Stub", "as_event", "reached", "types_of"]
