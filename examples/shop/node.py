"""Run the shop until SIGTERM: `python node.py sqlite:///shop.db`."""

import asyncio
import signal
import sys

from app import app


async def main(url: str) -> None:
    """Run one node with all services."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with app.run(url):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
