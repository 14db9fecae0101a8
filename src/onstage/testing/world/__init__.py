"""The engine's own verification: generated worlds, faults, and what must hold in all of them (`onstage sim`)."""
