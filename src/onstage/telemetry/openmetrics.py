"""Metrics as text: OpenMetrics 1.0.0, which Prometheus reads."""

from __future__ import annotations

from collections.abc import Sequence

from onstage.ports.telemetry import Family, Sample

__all__ = ["text"]


def text(families: Sequence[Family]) -> str:
    """The families in the format `application/openmetrics-text`; those without a sample are left out."""
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        lines += [f"# TYPE {family.name} {family.kind}", f"# HELP {family.name} {_escaped(family.help)}"]
        lines += [_line(family.name, sample) for sample in family.samples]
    return "\n".join([*lines, "# EOF\n"])


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels)
    return f"{name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
