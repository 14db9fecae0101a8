"""What is told to telemetry, and what it answers."""

from onstage.ports.telemetry import Family, Sample


def test_a_sample_needs_no_labels() -> None:
    family = Family("onstage_x", "gauge", "Is.", [Sample(1)])
    assert family.samples[0] == (1, (), "")
