"""Event classes of every kind, with fields of every kind, for decoding what strangers send."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic

__all__ = ["VALUES", "Everything", "Placed", "Priced", "Ratio"]


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Place(NamedTuple):
    x: int
    y: float


_KEY: Final = UUID(int=7)
_PLACE: Final = Place(1, 2.0)


class Note(TypedDict, total=False):
    text: str
    more: "Note"


@dataclass(frozen=True)
class Placed:
    id: str
    amount: int = 0


@dataclass
class Everything:
    id: str
    n: int = 0
    f: float = 0.0
    b: bool = False
    raw: bytes = b""
    at: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    day: date = date(2020, 1, 1)
    hour: time = time(12)
    lasting: timedelta = timedelta(1)
    price: Decimal = Decimal("1.50")
    key: UUID = _KEY
    size: Size = Size.SMALL
    kind: Literal["a", "b", 3] = "a"
    place: Place = _PLACE
    note: Note = field(default_factory=lambda: Note(text="hello"))
    items: list[Placed] = field(default_factory=lambda: [Placed("p", 1)])
    seen: set[int] = field(default_factory=lambda: {1, 2})
    whatever: set[Any] = field(default_factory=lambda: {"a"})
    prices: frozenset[Decimal] = frozenset({Decimal(1)})
    counts: dict[int, float] = field(default_factory=lambda: {1: 1.5})
    pair: tuple[int, str] = (1, "a")
    small: Annotated[int, msgspec.Meta(ge=0, le=9)] = 3
    short: Annotated[str, msgspec.Meta(max_length=9, pattern="^[a-z]*$")] = "abc"
    either: int | str | None = None
    anything: Any = None


class Told(msgspec.Struct, tag="told"):
    text: str
    child: "Told | Hidden | None" = None


class Hidden(msgspec.Struct, tag="hidden", forbid_unknown_fields=True):
    n: int = 0


@attrs.define
class Weighed:
    grams: int = attrs.field(validator=attrs.validators.gt(0))
    parts: list["Weighed"] = attrs.field(factory=list)


class Priced(pydantic.BaseModel):
    id: str
    price: Decimal = Decimal(1)
    at: datetime | None = None
    n: int = 0
    tags: set[str] = set()
    inner: "Priced | None" = None
    anything: Any = None


@dataclass
class Holder:
    priced: Priced
    size: Size = Size.LARGE


@dataclass
class Ratio:
    """Its own code raises what it likes."""

    part: int
    whole: int

    def __post_init__(self) -> None:
        self.share = self.part / self.whole
        if self.part < 0:
            raise KeyError(self.part)


VALUES: Final[tuple[tuple[object, object], ...]] = (
    (Placed, Placed("o1", 7)),
    (Everything, Everything("e1", either="x", anything={"a": [1, None, 2.5]})),
    (Told | Hidden, Told("a", Told("b", Hidden(3)))),
    (Weighed, Weighed(5, [Weighed(1), Weighed(2)])),
    (Priced, Priced(id="p", at=datetime(2020, 1, 1, tzinfo=UTC), tags={"x"}, inner=Priced(id="q", anything=[1]))),
    (Holder, Holder(Priced(id="h"))),
    (Ratio, Ratio(1, 2)),
    (dict[str, Any], {"a": {"b": [1, 2.5, "x", None, True]}}),
    (tuple[int, ...], (1, 2, 1 << 70)),
)
