"""Benchmarks: every figure is beside a floor measured in the same run."""
