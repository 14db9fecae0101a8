"""Templates become text here: everything is escaped, control characters are shown instead of sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from onstage.reading.wording import age, clean, moment

if TYPE_CHECKING:
    from onstage.web.shown import Need, ProcessFilter

__all__ = ["render", "tone"]

TONES: Final = {
    "done": "done",
    "consumed": "done",
    "ready": "running",
    "running": "running",
    "waiting": "waiting",
    "retrying": "waiting",
    "in doubt": "waiting",
    "dead letter": "stuck",
    "diverged": "stuck",
    "failed": "stuck",
    "dropped": "rejected",
    "rejected": "rejected",
    "cancelled": "rejected",
    "written off": "rejected",
}
_OWN_ERROR: Final = re.compile(r"onstage\.errors\.(StepFailed|OperationError): ")
_UNPRINTED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def render(template: str, **values: Any) -> str:
    """The text of a template of this package."""
    return _environment().get_template(template).render(**values)


def tone(status: str) -> str:
    """How a status looks: "done", "running", "waiting", "stuck", "rejected" or "quiet"."""
    return TONES.get(status, "quiet")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("onstage.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": _ago,
        "brief": lambda error: _OWN_ERROR.sub("", error),
        "clock": lambda ms: f"{moment(ms)[11:]}.{ms % 1000:03d}",
        "count": lambda count, more=False: f"{count:,}{'+' if more else ''}",
        "cut": lambda text, width: text if len(text) <= width else f"{text[: width - 1]}…",
        "digest": _digest,
        "hex": lambda number: f"{number:08x}" if number else "",
        "iso": lambda ms: datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "json": lambda value: msgspec.json.encode(value).decode(),
        "moment": moment,
        "narrows": _narrows,
        "oneline": lambda text: " ".join(text.split()),
        "pre": _kept_lines,
        "span": age,
        "tone": tone,
    }
    return made


def _shown(value: Any) -> Any:
    """What stands in the place of a value: nothing for None, visible signs for characters that nobody sees."""
    if value is None:
        return ""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _kept_lines(text: str) -> Markup:
    """Text of several lines, for `<pre>`."""
    return escape(_UNPRINTED.sub(lambda found: f"\\x{ord(found[0]):02x}", text))


def _ago(ms: int, now_ms: int) -> str:
    away = now_ms - ms
    if abs(away) < 1000:
        return "now"
    words = age(abs(away) // 1000 * 1000)
    return f"{words} ago" if away > 0 else f"in {words}"


def _digest(need: Need) -> str:
    """What stays the same of a line of the first page while its count grows: so it keeps its place and its focus."""
    named = f"{need.kind}|{need.service}|{need.handler}|{need.title}|{need.samples[:1] if need.count == 1 else ''}"
    return blake2b(named.encode(errors="replace"), digest_size=6).hexdigest()


def _narrows(wanted: ProcessFilter) -> bool:
    return any(getattr(wanted, name) not in (None, "") for name in wanted.__struct_fields__)
