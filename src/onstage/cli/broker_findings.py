"""What `onstage doctor` finds about a broker: raw answers of the server in, findings with their mends out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from onstage.cli.finding import Finding, bytes_shown
from onstage.events.envelope import EVENT_BYTES_MAX

if TYPE_CHECKING:
    from onstage.brokers.nats.address import Address
    from onstage.brokers.nats.survey import Survey

__all__ = ["USED_MAX", "broker_findings", "examine_broker"]

USED_MAX: Final = 0.9
"""The share of a limit from which on it is a problem."""

_FLOORS: Final = {11: (2, 11, 16), 12: (2, 12, 7)}
_FLOOR: Final = (2, 14, 0)
_BATCHES_SINCE: Final = (2, 12, 0)
_SYNC: Final = "set jetstream { sync_interval: always } in the server's configuration"
_NO_STREAM: Final = 10059


def examine_broker(url: str) -> Iterator[Finding]:
    """Ask the broker at this URL, and judge what it says. Nothing is made or changed there."""
    import asyncio
    import os

    from onstage.cli.until_stopped import shown_broker
    from onstage.errors import OnstageError

    try:
        from onstage.brokers.nats.address import Address
        from onstage.brokers.nats.survey import survey
        from onstage.ports.clock import SystemClock

        address = Address.parse(url, os.environ)
        found = asyncio.run(survey(address, SystemClock()))
    except (OnstageError, ModuleNotFoundError) as error:
        what, _, rest = str(error).partition("\n")
        why = rest.partition("why: ")[2].partition("\n")[0]
        mend = rest.partition("to do: ")[2] or "pip install 'onstage[nats]'"
        yield Finding("broker", False, f"{shown_broker(url)}: {what}{why and f' ({why})'}", mend)
        return
    yield from broker_findings(address, found)


def broker_findings(address: Address, found: Survey) -> Iterator[Finding]:
    """Judge what a server said; what makes the rest pointless ends it."""
    version = ".".join(map(str, found.version))
    yield Finding("broker", True, f"{address.shown} answers, NATS {version}, namespace {address.namespace}")
    yield _version(found.version)
    yield _payload(found.max_payload)
    yield _sync(found.server)
    limits = found.account.get("limits")
    if limits is None:
        said = found.account.get("error", {}).get("description", "nobody answers $JS.API.INFO")
        mend = "start the server with JetStream (nats-server -js, or jetstream {} in its configuration)"
        yield Finding("jetstream", False, f"it is not on for this user: {said}", mend)
        return
    yield Finding("jetstream", True, f"on, {bytes_shown(found.account.get('storage', 0))} stored for this account")
    yield from _storage(found.account, limits)
    yield from _log(address, found.stream, limits)


def _version(version: tuple[int, int, int]) -> Finding:
    floor = _FLOORS.get(version[1], _FLOOR) if version[0] == 2 else _FLOOR
    shown = ".".join(map(str, version))
    if version < floor:
        mend = "run 2.14.0 or newer, or 2.12.7 and newer in its line"
        return Finding("broker version", False, f"{shown} has known holes in what it stores", mend)
    if version < _BATCHES_SINCE:
        return Finding("broker version", False, f"{shown} cannot store a batch as a whole", "run 2.12.7 or newer")
    return Finding("broker version", True, f"{shown} is new enough")


def _payload(most: int) -> Finding:
    from onstage.runtime.node import HEADERS_BYTES

    needed = EVENT_BYTES_MAX + HEADERS_BYTES
    found = f"max_payload is {bytes_shown(most)}; an event may have {bytes_shown(EVENT_BYTES_MAX)} and its headers"
    mend = (
        None
        if most >= needed
        else "set max_payload: 4MB in the server's configuration; until then larger events are refused"
    )
    return Finding("payload", mend is None, found, mend)


def _sync(server: dict[str, Any]) -> Finding:
    config = server.get("jetstream", {}).get("config", {})
    if config.get("sync_always"):
        return Finding("sync", True, "sync_interval is always: what the server acknowledges survives a power cut")
    after = "an acknowledgement may be lost in a power cut; the stores then publish it again"
    if "sync_interval" in config:
        return Finding("sync", True, f"sync_interval is {config['sync_interval'] / 1e9:g} s: {after}")
    seen = "sync_interval can be seen by users of the system account only (default: 2 min)"
    return Finding("sync", True, f"{seen}: {after}. To rule it out: {_SYNC}")


def _storage(account: dict[str, Any], limits: dict[str, Any]) -> Iterator[Finding]:
    most, used = limits.get("max_storage", -1), account.get("storage", 0)
    if most <= 0:
        yield Finding(
            "broker storage", True, f"{bytes_shown(used)} used; this account has no limit but the server's disk"
        )
        return
    mend = "raise max_file_store or the account's limit: a full log takes no events" if used > most * USED_MAX else None
    yield Finding("broker storage", mend is None, f"{bytes_shown(used)} of {bytes_shown(most)} used", mend)


def _log(address: Address, stream: dict[str, Any], limits: dict[str, Any]) -> Iterator[Finding]:
    config, state = stream.get("config"), stream.get("state", {})
    if config is None:
        error = stream.get("error", {})
        if error.get("err_code") in (_NO_STREAM, None) and error:
            yield Finding("log", True, f"namespace {address.namespace} has none yet; the first node makes it")
        else:
            said = error.get("description", "no answer")
            yield Finding("log", False, f"cannot be looked at: {said}", "let this user ask $JS.API.STREAM.INFO.>")
        return
    messages, size = state.get("messages", 0), state.get("bytes", 0)
    yield Finding("log", True, f"{config['name']}, {messages:,} messages, {bytes_shown(size)}")
    yield _replicas(address, config, stream.get("cluster") or {})
    yield _window(address, config)
    yield _consumers(config, state, limits)
    yield from _forgets(config, state)


def _replicas(address: Address, config: dict[str, Any], cluster: dict[str, Any]) -> Finding:
    copies = config.get("num_replicas", 1)
    if copies < address.replicas:
        mend = f"nats stream edit {config['name']} --replicas {address.replicas}"
        return Finding("replicas", False, f"{copies} of the {address.replicas} that are asked for", mend)
    late = [peer["name"] for peer in cluster.get("replicas") or () if peer.get("offline") or not peer.get("current")]
    if late:
        return Finding(
            "replicas", False, f"{copies}, but {', '.join(late)} is behind or away", "look after that server"
        )
    if copies == 1 and cluster.get("name"):
        mend = f"nats stream edit {config['name']} --replicas 3, and ?replicas=3 in the URL"
        return Finding("replicas", False, "1, in a cluster: while that server is away, nothing is exchanged", mend)
    alone = "; while that server is away, nothing is exchanged" if copies == 1 else ""
    return Finding("replicas", True, f"{copies}{alone}")


def _window(address: Address, config: dict[str, Any]) -> Finding:
    window_s = config.get("duplicate_window", 0) / 1e9
    found = f"the server knows an id for {window_s:g} s; what comes again later is dropped by whoever reads it"
    if window_s >= address.window_s:
        return Finding("duplicate window", True, found)
    mend = f"nats stream edit {config['name']} --dupe-window {address.window_s:g}s"
    return Finding("duplicate window", False, f"{window_s:g} s, {address.window_s:g} s are asked for", mend)


def _consumers(config: dict[str, Any], state: dict[str, Any], limits: dict[str, Any]) -> Finding:
    caps = [cap for cap in (config.get("max_consumers", -1), limits.get("max_consumers", -1)) if cap > 0]
    used = state.get("consumer_count", 0)
    if not caps:
        return Finding("readers", True, f"{used:,}, and no limit")
    mend = "raise max_consumers of the stream or the account, or remove readers of services that are gone"
    is_well = used <= min(caps) * USED_MAX
    return Finding("readers", is_well, f"{used:,} of {min(caps):,}", None if is_well else mend)


def _forgets(config: dict[str, Any], state: dict[str, Any]) -> Iterator[Finding]:
    if config.get("max_age", 0) > 0:
        days = config["max_age"] / 86_400e9
        mend = f"nats stream edit {config['name']} --max-age 0, or make sure that no service is away for so long"
        yield Finding("retention", False, f"the log forgets what is older than {days:g} days, read or not", mend)
    for option, used in (("max_bytes", state.get("bytes", 0)), ("max_msgs", state.get("messages", 0))):
        most = config.get(option, -1)
        if most > 0 and used > most * USED_MAX:
            mend = f"raise {option} of the stream {config['name']}: it drops the oldest messages, read or not"
            yield Finding("retention", False, f"{used:,} of {option} {most:,} used", mend)
