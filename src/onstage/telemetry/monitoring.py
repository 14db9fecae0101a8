"""What watches a node from outside, as files: a dashboard for Grafana and alert rules for Prometheus."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

__all__ = ["monitoring_files"]

_FILES: Final = ("grafana/onstage.json", "prometheus/alerts.yml")


def monitoring_files() -> dict[str, str]:
    """The files by their paths, to be written somewhere."""
    here = files("onstage.telemetry")
    return {path: here.joinpath(path).read_text(encoding="utf-8") for path in _FILES}
