"""Inputs made by hand: depth, size, numbers, text that is none, names that come twice."""

from collections.abc import Iterator
from typing import Final

__all__ = ["DEPTHS", "json_values", "packed_values"]

DEPTHS: Final = (199, 200, 201, 500, 1_000, 100_000)
_MANY: Final = 400_000


_SMALL: Final = (
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"nan",
        b"1e999",
        b"-1e999",
        b"1e-999",
        b"-0",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"-",
    ),
    *(b"", b" ", b"\n", b"\0", b"\xef\xbb\xbf{}", b"{} {}", b"{},", b"[1,]", b'{"a":1,}', b"{'a':1}", b"// x\n1"),
    *(b"\xff", b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', '{"a":1}'.encode("utf-16")),
    *(b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\u00"', b'"\\x41"'),
    *(b'{"\\ud800":1}', b'{"a":1,"a":2}', b'{"a":{"a":1,"a":2}}', b'{"":""}', b'["sNaN"]', b"[[1]]", b"[{}]"),
    *(b"null", b"true", b"false", b'""', b"[]", b"{}", b"0", b"1", b"-1"),
)


def json_values() -> Iterator[bytes]:
    """Values that are, or are nearly, JSON; each of at most a megabyte."""
    for depth in DEPTHS:
        yield b"[" * depth + b"]" * depth
        yield b'{"a":' * depth + b"1" + b"}" * depth
        yield b"[" * depth
        yield b'{"a":' * depth
    for digits in (19, 20, 4_300, 4_301, 100_000, 1_000_000):
        yield b"9" * digits
        yield b"-" + b"9" * digits
        yield b"0." + b"9" * digits
        yield b"1e" + b"9" * digits
        yield b'"' + b"9" * digits + b'"'
    yield from _SMALL
    yield b'"' + b"x" * 1_000_000 + b'"'
    yield b'"' + b'\\"' * _MANY
    yield b"[" * 250 + b'"' + b'\\"' * _MANY
    yield b'"' + b"\\u0041" * (_MANY // 3) + b'"'
    yield b"[" + b"[]," * (_MANY // 2) + b"[]]"
    yield b"[" + b"{}," * (_MANY // 2) + b"{}]"
    yield b"{" + b'"a":1,' * (_MANY // 3) + b'"a":1}'
    yield b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(_MANY // 8)) + b"}"


def packed_values() -> Iterator[bytes]:
    """Bodies that are, or are nearly, MessagePack."""
    for depth in DEPTHS:
        yield b"\x91" * depth + b"\xc0"
        yield b"\x81\xa1a" * depth + b"\xc0"
        yield b"\x81" * depth
    for head in (b"\xc6", b"\xc9", b"\xdb", b"\xdd", b"\xdf"):
        yield head + b"\xff" * 4
        yield head + b"\x00\x0f\xff\xff"
        yield (head + b"\x00\x00\xff\xff") * 1_000
    yield from (bytes([first]) for first in range(256))
    yield from (b"\x92" + bytes([first]) + b"\xa1a" for first in range(256))
    yield from (b"\x81\xa2at" + bytes([first]) for first in range(256))
    yield from (b"\x82\xa2at\x01\xa2do" + bytes([first]) * 3 for first in range(256))
    yield b"\x82\xa2at\x01\xa2at\x02"
    yield b"\x83\xa2at\x01\xa2do\xa4ping\xa2do\xa4emit"
    yield b"\xdd\x00\x06\x00\x00" + b"\x90" * 0x60000
    yield b"\xda\xff\xff" + b"\xff" * 0xFFFF
    yield b"\xc6\x00\x10\x00\x00" + bytes(1 << 20)
