"""For users' tests: a simulated world, and the contract that every store keeps."""

from onstage.testing.sim import Sim

__all__ = ["Sim"]
