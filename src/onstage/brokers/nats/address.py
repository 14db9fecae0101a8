"""The address of a NATS broker: its URL, what a URL may ask for, and credentials that stand outside of it.

nats://[user:password@]host[:port][,host2[:port]]?namespace=shop&replicas=3&window=10m&creds=FILE&nkey=FILE&ca=FILE

`tls://` insists on an encrypted connection. Files of credentials may be named by the environment instead
(`ONSTAGE_NATS_CREDS`, `ONSTAGE_NATS_NKEY`, `ONSTAGE_NATS_CA`), which is where they do not end up in a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, final
from urllib.parse import parse_qsl, unquote, urlsplit

from onstage.errors import UsageError
from onstage.events.duration import seconds
from onstage.events.subject import check_namespace

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["REPLICAS_MAX", "Address"]

REPLICAS_MAX: Final = 5
"""How many copies of a stream JetStream keeps at most."""

_PORT: Final = 4222
_FILES: Final = {"creds": "ONSTAGE_NATS_CREDS", "nkey": "ONSTAGE_NATS_NKEY", "ca": "ONSTAGE_NATS_CA"}
_OPTIONS: Final = ("namespace", "replicas", "window", *_FILES)


@final
@dataclass(frozen=True, slots=True)
class Address:
    """Where the servers are and what is asked of them; made by `Address.parse`.

    `servers` are URLs without credentials. `window_s` is for how long the broker remembers ids, in seconds. `creds` and
    `nkey` are files with a user's credentials or seed, `ca` a file with the certificates to trust.
    """

    servers: tuple[str, ...]
    is_tls: bool = False
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    namespace: str = "onstage"
    replicas: int = 1
    window_s: float = 120.0
    creds: str | None = None
    nkey: str | None = None
    ca: str | None = None

    @classmethod
    def parse(cls, url: str, environ: Mapping[str, str] | None = None) -> Address:
        """Return what a URL says. What it does not say is looked for in `environ`.

        Raises:
            UsageError: in three lines, which never show a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"nats", "tls"}:
            _refuse(f"{parts.scheme or 'nothing'} is no way to a NATS broker", "a URL begins with nats:// or tls://")
        if parts.path.strip("/") or parts.fragment:
            _refuse("the URL of a NATS broker has a path", "the namespace is an option: ?namespace=shop")
        login, _, hosts = parts.netloc.rpartition("@")
        user, colon, password = login.partition(":")
        options = _options(parts.query)
        files = {name: options.get(name) or (environ or {}).get(variable) for name, variable in _FILES.items()}
        if len([way for way in (user, files["creds"], files["nkey"]) if way]) > 1:
            _refuse("there is more than one way to log in", "give one of user, creds and nkey; the environment counts")
        return cls(
            tuple(f"{parts.scheme}://{_host(host)}" for host in hosts.split(",")),
            is_tls=parts.scheme == "tls",
            user=unquote(user) or None,
            password=unquote(password) if colon else None,
            namespace=check_namespace(options.get("namespace", "onstage")),
            replicas=_replicas(options.get("replicas", "1")),
            window_s=_window(options.get("window", "2m")),
            **files,
        )

    @property
    def shown(self) -> str:
        """The servers, as messages name them."""
        return ",".join(self.servers)


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        _refuse("an option stands in the URL twice", "give each option once")
    for name, value in pairs:
        if name not in _OPTIONS:
            _refuse(f"{name[:40]!r} is no option of a NATS broker", f"there are: {', '.join(_OPTIONS)}")
        if not value:
            _refuse(f"the option {name} has no value", f"write {name}=..., or leave it out")
    return options


def _host(text: str) -> str:
    try:
        host = urlsplit(f"//{text}")
        name, port = host.hostname, host.port or _PORT
    except ValueError:
        name, port = None, 0
    if not name or not port:
        _refuse(f"{text[:80]!r} is no server", "write host:port, and commas between several: nats://a:4222,b:4222")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _replicas(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:3]) <= REPLICAS_MAX):
        _refuse(f"replicas={text[:40]!r} is not possible", f"a number from 1 to {REPLICAS_MAX}, of which 3 is usual")
    return int(text)


def _window(text: str) -> float:
    try:
        window_s = seconds(text)
    except ValueError:
        window_s = 0.0
    if window_s < 1:
        _refuse(f"window={text[:40]!r} is not possible", "a duration of at least 1s, such as 2m")
    return window_s


def _refuse(what: str, mend: str) -> NoReturn:
    raise UsageError(f"{what}\n  why: the broker cannot be reached by this URL\n  to do: {mend}")
