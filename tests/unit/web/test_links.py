from onstage.web.links import Links
from onstage.web.shown import Need, ProcessFilter, ProcessRef


def need(**changed: object) -> Need:
    given: dict[str, object] = {
        "kind": "dead letter", "service": "payment", "handler": "payment.take", "title": "Timeout: 3 s", "count": 1,
        "since_ms": 1, "newest_ms": 1, "samples": (ProcessRef(process="ab-7", key="o-1", type="order"),),
        "executions": (9,), "verdict": "stuck",
    }  # fmt: skip
    return Need(**given | changed)  # type: ignore[arg-type]


def test_everything_lies_below_where_it_is_mounted() -> None:
    at = Links("/ops")
    all_of_them = [href for *_, href in at.views()] + [at.static("a.css"), at.api("events"), at.stream("map")]
    assert all(href.startswith("/ops/") for href in all_of_them)


def test_names_from_elsewhere_cannot_leave_their_place_in_an_address() -> None:
    at = Links()
    assert at.process("a/../b?x#y") == "/processes/a%2F..%2Fb%3Fx%23y"
    assert at.event_type('"><script>') == "/events/%22%3E%3Cscript%3E"
    assert at.api("handlers", "a/b", "pause") == "/api/v1/handlers/a%2Fb/pause"


def test_a_filter_is_kept_but_for_what_is_changed() -> None:
    kept = ProcessFilter(q="o 1", verdict="stuck")
    assert Links().processes(kept, verdict=None) == "/processes?q=o+1"
    assert Links().processes(kept, verdict="waiting") == "/processes?q=o+1&verdict=waiting"


def test_what_is_selected_is_in_the_address() -> None:
    assert Links().process("ab-7", node="e12") == "/processes/ab-7?event=12"
    assert Links().process("ab-7", node="x12", failures=True) == "/processes/ab-7?failures=1&execution=12"


def test_a_single_trouble_leads_to_its_process_and_many_to_a_list() -> None:
    assert Links().need(need()) == "/processes/ab-7?execution=9"
    listed = Links().need(need(count=3))
    assert listed == "/processes?verdict=stuck&handler=payment.take&error=Timeout%3A+3+s"
    assert Links().need(need(kind="paused")) == "/services"
    assert Links().need(need(kind="contract", type="order-placed")) == "/events/order-placed"
