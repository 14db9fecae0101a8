"""What befalls the town, one after the other, while orders come in. Each is a function of the town."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from tests.apart.town import WINDOW_S, Town

Fault = Callable[[Town], Awaitable[None]]
PAUSE_S = 2.5


async def server_killed(town: Town) -> None:
    """Killed, and its store is kept as it is now for later."""
    town.server.kill()
    town.server.snapshot(town.folder / "older")
    town.server.start()


async def server_paused(town: Town) -> None:
    town.server.pause()
    await asyncio.sleep(PAUSE_S)
    town.server.resume()


async def server_down_for_long(town: Town) -> None:
    """Longer than it remembers ids."""
    town.server.kill()
    await asyncio.sleep(2 * WINDOW_S)
    town.server.start()


async def store_set_back(town: Town) -> None:
    """The server goes on with an older copy of its store: whatever it acknowledged since is gone."""
    town.server.kill()
    town.server.restore(town.folder / "older")
    town.server.start()


async def mill_killed(town: Town) -> None:
    town.kill("mill")
    await town.start("mill")


async def desk_killed(town: Town) -> None:
    town.kill("desk")
    await town.start("desk")


async def press_paused(town: Town) -> None:
    town.signal("press", signal.SIGSTOP)
    await asyncio.sleep(PAUSE_S)
    town.signal("press", signal.SIGCONT)


async def mill_half_open(town: Town) -> None:
    """Its connection carries nothing, and nobody tells it."""
    town.proxies["mill"].hold()
    await asyncio.sleep(2 * PAUSE_S)
    town.proxies["mill"].release()


async def desk_half_open_then_reset(town: Town) -> None:
    town.proxies["desk"].hold()
    await asyncio.sleep(PAUSE_S)
    town.proxies["desk"].reset()
    town.proxies["desk"].release()


async def press_reset(town: Town) -> None:
    for _ in range(5):
        town.proxies["press"].reset()
        await asyncio.sleep(0.2)


async def mill_slow(town: Town) -> None:
    town.proxies["mill"].delay_s = 0.1
    await asyncio.sleep(PAUSE_S)
    town.proxies["mill"].delay_s = 0.0


async def consumers_deleted(town: Town) -> None:
    """All of them, behind everybody's back."""
    import nats

    client = await nats.connect(town.server.url)
    try:
        names = await client.jetstream().consumers_info("ONSTAGE_onstage")
        for info in names:
            await client.jetstream().delete_consumer("ONSTAGE_onstage", info.name)
    finally:
        await client.close()


async def registry_deleted(town: Town) -> None:
    import nats

    client = await nats.connect(town.server.url)
    try:
        await client.jetstream().delete_stream("KV_ONSTAGE_onstage")
    finally:
        await client.close()


async def observer_killed(town: Town) -> None:
    town.kill("observer")
    await town.start("observer")


async def observer_begun_anew(town: Town) -> None:
    town.kill("observer")
    town.forget("observer")
    await town.start("observer")


FAULTS: tuple[Fault, ...] = (
    server_killed,
    mill_killed,
    server_paused,
    press_paused,
    mill_half_open,
    press_reset,
    mill_slow,
    consumers_deleted,
    observer_killed,
    server_down_for_long,
    desk_half_open_then_reset,
    desk_killed,
    store_set_back,
    observer_begun_anew,
    registry_deleted,
)
