"""Our names are those of the conventions."""

from opentelemetry.semconv._incubating.attributes import messaging_attributes as official

from onstage.telemetry import conventions


def test_messaging_names_are_the_official_ones() -> None:
    ours = {name: value for name, value in vars(conventions).items() if str(value).startswith("messaging.")}
    theirs = {value for name, value in vars(official).items() if name.startswith("MESSAGING_")}
    assert len(ours) == 7
    assert set(ours.values()) <= theirs


def test_what_is_our_own_says_so() -> None:
    own = [value for name, value in vars(conventions).items() if name.startswith(("PROCESS", "EXECUTION", "STEP"))]
    assert own
    assert all(value.startswith("onstage.") for value in own)
