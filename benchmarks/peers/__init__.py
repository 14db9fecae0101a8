"""The same work done by other systems, each optional: `python -m benchmarks.peers NAME`."""
