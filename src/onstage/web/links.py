"""Where everything is: the addresses of pages, fragments and calls of the API, below wherever the UI is mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from onstage.web.shown import Need, ProcessFilter

__all__ = ["Links"]

API: Final = "/api/v1"
KEYS: Final = (
    (("/",), "search"),
    (("j", "k"), "next, previous"),
    (("Enter",), "open"),
    (("g", "a"), "attention"),
    (("g", "p"), "processes"),
    (("g", "m"), "map"),
    (("g", "e"), "events"),
    (("g", "s"), "services"),
    (("g", "l"), "audit log"),
    (("f",), "failures only, everything"),
    (("p",), "pause live updates, go on"),
    (("?",), "this"),
)


@final
class Links:
    """Addresses for one request: `base` is the path under which the application is mounted, without a slash."""

    def __init__(self, base: str = "", *, csrf: str = "") -> None:
        """`csrf` is what actions from this page have to say in their header."""
        self.base = base
        self.csrf = csrf

    def static(self, name: str) -> str:
        """A file that comes with the UI."""
        return f"{self.base}/static/{name}"

    def views(self) -> tuple[tuple[str, str, str, str], ...]:
        """The entries of the navigation: view, name, key after `g`, address."""
        return (
            ("attention", "Attention", "a", self.attention()),
            ("processes", "Processes", "p", self.processes()),
            ("map", "Map", "m", self.map()),
            ("events", "Events", "e", self.event_types()),
            ("services", "Services", "s", self.services()),
            ("audit", "Audit log", "l", self.audit()),
        )

    def keys(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """What the keyboard does."""
        return KEYS

    def stream(self, topic: str) -> str:
        """The stream that says when something of this topic has changed."""
        return f"{self.base}{API}/live?{urlencode({'topic': topic})}"

    def api(self, *path: object) -> str:
        """A call of the API."""
        return f"{self.base}{API}/{'/'.join(quote(str(part), safe='') for part in path)}"

    def attention(self) -> str:
        """The first page."""
        return f"{self.base}/"

    def search(self) -> str:
        """Where the search box leads."""
        return f"{self.base}/search"

    def processes(self, like: ProcessFilter | None = None, **other: object) -> str:
        """The processes that fit a filter, some of it changed."""
        kept = {name: getattr(like, name) for name in like.__struct_fields__} if like else {}
        return self._with(f"{self.base}/processes", kept | other)

    def process(
        self,
        process: str,
        *,
        node: str | None = None,
        failures: bool = False,
        after: int | None = None,
        plan: bool = False,
    ) -> str:
        """A process, with something in it selected: `e` and the number of an event, `x` and that of an execution.

        With a `plan` it shows what undoing it would undo.
        """
        query: dict[str, object] = {"failures": 1 if failures else None, "after": after or None}
        query |= {"plan": 1 if plan else None}
        if node:
            query["event" if node[0] == "e" else "execution"] = node[1:]
        return self._with(f"{self.base}/processes/{quote(process, safe='')}", query)

    def execution(self, number: int, *, after: int | None = None) -> str:
        """An execution with its whole journal."""
        return self._with(f"{self.base}/executions/{number}", {"after": after})

    def map(self, *, service: str | None = None, whole: bool = False) -> str:
        """The map, around a service, or all of it however large it is."""
        return self._with(f"{self.base}/map", {"service": service, "whole": "1" if whole else None})

    def event_types(self) -> str:
        """All types of events."""
        return f"{self.base}/events"

    def event_type(self, type: str, **query: object) -> str:
        """One type of events."""
        return self._with(f"{self.base}/events/{quote(type, safe='')}", query)

    def services(self) -> str:
        """All handlers."""
        return f"{self.base}/services"

    def audit(self, *, before: object = None) -> str:
        """What operators did."""
        return self._with(f"{self.base}/audit", {"after": before})

    def need(self, need: Need) -> str:
        """Where one sees what a line of the first page is about: the process if it is one, else those it is about."""
        if need.kind == "paused":
            return self.services()
        if need.type is not None:
            return self.event_type(need.type)
        if need.count == 1 and need.samples:
            return self.process(need.samples[0].process, node=f"x{need.executions[0]}" if need.executions else None)
        error = need.title if need.kind in ("dead letter", "diverged") else None
        return self.processes(verdict=need.verdict, handler=need.handler, error=error)

    def exported(self, process: str, form: str) -> str:
        """A process as a file: `export.json`, `diagram.mmd` or `test.py`."""
        return self.api("processes", process, form)

    @staticmethod
    def _with(path: str, query: dict[str, Any]) -> str:
        said = {name: str(value) for name, value in query.items() if value not in (None, "")}
        return f"{path}?{urlencode(said)}" if said else path
