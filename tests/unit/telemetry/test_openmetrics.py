"""Metrics as text, read by the parser of Prometheus' own client."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from onstage.ports.telemetry import Family, Sample
from onstage.telemetry.counts import Histogram
from onstage.telemetry.openmetrics import text


def test_every_kind_is_read_back_as_it_was() -> None:
    histogram = Histogram()
    histogram.observe(0.01)
    histogram.observe(1e9)
    nasty = (("name", 'a "b" \\ c\nd'),)
    families = [
        Family("a_counter", "counter", "Counts\nthings.", [Sample(3, nasty, "_total")]),
        Family("a_gauge", "gauge", "Is.", [Sample(0.5) ]),
        Family("an", "info", "Says.", [Sample(1, (("version", "1"),), "_info")]),
        Family("a_histogram_seconds", "histogram", "Lasts.", histogram.samples((("handler", "x"),))),
        Family("nothing", "gauge", "Has no sample.", []),
    ]  # fmt: skip
    read = {family.name: family for family in text_string_to_metric_families(text(families))}
    assert sorted(read) == ["a_counter", "a_gauge", "a_histogram_seconds", "an"]
    (sample,) = read["a_counter"].samples
    assert (sample.value, sample.labels) == (3, dict(nasty))
    assert read["a_counter"].documentation == "Counts\nthings."
    buckets = {each.labels["le"]: each.value for each in read["a_histogram_seconds"].samples if "le" in each.labels}
    assert (buckets["0.005"], buckets["0.025"], buckets["86400.0"], buckets["+Inf"]) == (0, 1, 1, 2)


def test_nothing_is_a_text_too() -> None:
    assert text([]) == "# EOF\n"
