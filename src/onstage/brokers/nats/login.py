"""Getting into a NATS server, and out again: who we are, whom we trust, and how a connection is dropped at once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from onstage.errors import UsageError

if TYPE_CHECKING:
    import asyncio
    import ssl

    from nats.aio.client import Client

    from onstage.brokers.nats.address import Address

__all__ = ["check_encryption", "credentials", "dispose", "new_client", "text_of"]


def new_client() -> Client:
    """A connection of nats-py, not yet made. Raises UsageError if the package is missing."""
    try:
        from nats.aio.client import Client
    except ImportError as error:
        raise UsageError(
            "a NATS broker needs the package nats-py\n  why: it is not installed\n  to do: pip install 'onstage[nats]'"
        ) from error
    return Client()


def credentials(address: Address, client: Client) -> dict[str, Any]:
    """What `connect` of nats-py is given to log in. Raises UsageError for files and packages that are missing."""
    options: dict[str, Any] = {}
    if address.is_tls or address.ca:
        options["tls"] = _tls(address.ca)
    if address.user is not None and address.password is None:
        options["token"] = lambda: _secret(address, client, address.user)
    elif address.user is not None:
        options |= {"user": address.user, "password": lambda: _secret(address, client, address.password)}
    if address.creds or address.nkey:
        _check_nkeys()
    if address.creds:
        options["user_credentials"] = address.creds
    if address.nkey:
        options["nkeys_seed"] = address.nkey
    return options


def check_encryption(address: Address, client: Client) -> None:
    """Raise UsageError if the address insists on encryption and the connection has none."""
    if address.is_tls and _writer(client).get_extra_info("ssl_object") is None:
        raise UsageError(
            f"the server at {address.shown} does not encrypt\n  why: the URL begins with tls://, the server offers no "
            "TLS, and no secret was said to it\n  to do: configure `tls` at the server, or write nats://"
        )


async def dispose(client: Client) -> None:
    """Drop a connection, whatever is in its buffers.

    A line that is half open never takes them: closing in good order would wait for it for ever.
    """
    with suppress(Exception):
        _writer(client).transport.abort()
    with suppress(Exception):
        await client.close()


def text_of(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _secret(address: Address, client: Client, secret: str | None) -> str | None:
    check_encryption(address, client)  # nats-py asks for it after the handshake, before it says anything
    return secret


def _writer(client: Client) -> asyncio.StreamWriter:
    writer: asyncio.StreamWriter = client._transport._io_writer  # type: ignore[union-attr]  # noqa: SLF001
    return writer


def _tls(ca: str | None) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(
            f"the certificates in {ca} cannot be used\n  why: {text_of(error)}\n  to do: name a file in PEM format"
        ) from error


def _check_nkeys() -> None:
    try:
        import nkeys  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "credentials with keys need the package nkeys\n  why: it is not installed\n  to do: pip install nkeys"
        ) from error
