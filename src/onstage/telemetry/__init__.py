"""Telemetry: counters, OpenMetrics text, spans, log lines."""
