"""`onstage ui`: the web UI over a store, for a node's file or an observer's, whether or not it runs."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from onstage.cli.failures import Exit, Failure
from onstage.cli.options import Surroundings, surroundings
from onstage.cli.printing import clean, note, print_json

if TYPE_CHECKING:
    from onstage.web.web_app import Settings

__all__ = ["HOST", "PORT", "command", "is_installed", "listening_on"]

HOST: Final = "127.0.0.1"
PORT: Final = 7070
_PORTS_TRIED: Final = 20
_STOP_S: Final = 2
_TOKEN: Final = "ONSTAGE_UI_TOKEN"  # noqa: S105  the name of a variable
_NEEDS: Final = ("jinja2", "starlette", "uvicorn")


@click.command("ui", short_help="Look at a store in the browser.")
@click.argument("where", metavar="[STORE]", required=False)
@click.option("--host", default=HOST, show_default=True, help="Bind to this address; any but loopback needs a token.")
@click.option("--port", type=click.IntRange(0, 65_535), help=f"Answer on this port (0: any free one); else {PORT}.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help=f"Holds the token; or {_TOKEN}.")
@click.option("--read-only", is_flag=True, help="Show everything, and let nobody act.")
@surroundings
def command(
    at: Surroundings, *, where: str | None, host: str, port: int | None, token_file: Path | None, read_only: bool
) -> None:
    """Answer with the web UI over STORE (sqlite:///shop.db) until Ctrl-C: what needs you, where is my order, the map.

    It reads the file, and acts through the node that runs on it. On 127.0.0.1 everybody on this machine may look and
    act; any other --host asks for the token.
    """
    if not is_installed():
        raise Failure(
            "the web UI is not installed",
            "it needs Starlette, uvicorn and Jinja2",
            "pip install 'onstage[web]'",
            code=Exit.USAGE,
        )
    from onstage.web.web_app import Settings

    at = at if where is None else replace(at, store=where)
    token = _token(token_file)
    _refuse_open_door(host, token)
    _serve(at, listening_on(host, port), host, Settings(token=token, read_only=read_only, app=at.target))


def is_installed() -> bool:
    """Whether what the web UI needs is there."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in _NEEDS)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(_TOKEN) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Failure(
            f"{file} cannot be read", str(error), "name a file that holds a token", code=Exit.USAGE
        ) from error
    if not token:
        raise Failure(f"{file} is empty", "an empty token keeps nobody out", "write a long one", code=Exit.USAGE)
    return token


def _refuse_open_door(host: str, token: str | None) -> None:
    from onstage.web.security import is_loopback

    if token is None and not is_loopback(host):
        raise Failure(
            f"the web UI does not answer on {clean(host)} without a token",
            "whoever reaches it could read every payload and drop work",
            f"set {_TOKEN} or --token-file, or leave --host at {HOST}",
            code=Exit.USAGE,
        )


def listening_on(host: str, port: int | None) -> socket.socket:
    """A socket that listens; without a port, on the first free one from `PORT` on. Raises Failure."""
    tried = range(PORT, PORT + _PORTS_TRIED) if port is None else (port,)
    problem = ""
    for each in tried:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = socket.create_server((host, each), family=family)
        except OSError as error:
            problem = str(error)
            continue
        listening.set_inheritable(False)
        return listening
    raise Failure(
        f"port {tried[-1]} of {clean(host)} cannot be used",
        problem,
        "name a free one with --port, or 0 for any",
        code=Exit.USAGE,
    )


def _serve(at: Surroundings, listening: socket.socket, host: str, settings: Settings) -> None:
    import uvicorn

    from onstage.reading.ui_address import noted
    from onstage.web.web_app import make_app

    path = at.path()
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        make_app(path, settings),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_STOP_S,
        server_header=False,
    )
    if at.is_json:
        print_json({"ready": True, "url": url, "store": at.store, "pid": os.getpid()})
    else:
        click.echo(f"web UI: {url}  ({at.store})")
    with listening, noted(path, url):
        uvicorn.Server(config).run(sockets=[listening])
    note("the web UI has ended")
