"""Valid samples, made invalid: small changes of bytes, drawn from a seeded generator."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, final

__all__ = ["JSON_TOKENS", "PACKED_TOKENS", "TEXT_TOKENS", "Mutator"]

JSON_TOKENS: Final = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"null", b"true", b"{}", b"[]", b'""', b"\xef\xbb\xbf", b"\n"),
    *(b"NaN", b"Infinity", b"-Infinity", b"-0", b"01", b"1e999", b"1e-999", b"1.", b"-", b"0.1", b"1E+5"),
    *(b"4294967296", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809"),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\x41"', b'"\\u12"', b'"\xed\xa0\x80"'),
    *(b"\xff", b"\xc0\x80", b"\xf4\x90\x80\x80", b'"sNaN"', b'"NaN"', b'"Infinity"', b'"1e999999999999"', b'"P1D"'),
    *(b'"9999-12-31T23:59:60Z"', b'"0001-01-01T00:00:00+23:59"', b'"2020-02-30"', b'"24:00:00"'),
    *(b'"type":', b'"id":', b'"data":', b'"data_base64":', b'"specversion":"1.0",', b'"hlc":', b'"extensions":{}'),
    b"9" * 4_300,
    b"9" * 4_301,
    b"1" * 20,
    b"0." + b"1" * 400,
    b"[" * 150,
    b"[" * 2_000,
    b'{"a":' * 2_000,
    b'"' + b'\\"' * 2_000,
)
PACKED_TOKENS: Final = (
    *(b"\x00", b"\x7f", b"\x80", b"\x90", b"\xa0", b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\xff", b"\xe0"),
    *(b"\xc4\x00", b"\xc4\xff", b"\xc5\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xd9\xff", b"\xdb\xff\xff\xff\xff"),
    *(
        b"\xdc\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xde\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xd4\xff\x00",
        b"\xc7\x00\x05",
    ),
    *(
        b"\xcf" + b"\xff" * 8,
        b"\xd3\x80" + bytes(7),
        b"\xcb\x7f\xf8" + bytes(6),
        b"\xcb\x7f\xf0" + bytes(6),
        b"\xca" + b"\xff" * 4,
    ),
    *(
        b"\xd6\xff" + b"\xff" * 4,
        b"\xd7\xff" + b"\xff" * 8,
        b"\xc7\x0c\xff" + b"\xff" * 12,
        b"\xa3\xed\xa0\x80",
        b"\xa1\xff",
    ),
    *(b"\xa2at", b"\xa2do", b"\xa4with", b"\xa4ping", b"\xa4emit", b"\x81", b"\x91", b"\x92"),
    b"\x91" * 2_000,
    b"\x81\xa1a" * 2_000,
)
TEXT_TOKENS: Final = (
    *(
        b".",
        b"*",
        b">",
        b" ",
        b"-",
        b"_",
        b"\x00",
        b"\n",
        b"\xff",
        b"\xed\xa0\x80",
        "٣".encode(),
        "²".encode(),
        "ß".encode(),
    ),
    *(b"w", b"d", b"h", b"m", b"s", b"ms", b"1", b"0", b"00", b".5", b"1h", b"1ms", b"e3", b"+", b"inf", b"nan"),
    *(b"onstage.", b"a.b", b"9" * 18, b"9" * 19, b"9" * 64, b"9" * 4_301, b"x" * 256, b"1h" * 40, b"a." * 200),
)
_INTERESTING: Final = bytes([0, 1, 0x7F, 0x80, 0xC0, 0xC1, 0xFF, 0x22, 0x5C, 0x7B, 0x5B, 0x30, 0x2D])
_CHANGES_MAX: Final = 4


@final
class Mutator:
    """Makes one changed sample after the other; the same seed makes the same ones."""

    def __init__(self, seed: int, samples: Sequence[bytes], tokens: Sequence[bytes]) -> None:
        self.random = Random(seed)
        self._samples = samples
        self._tokens = tokens
        self._kinds: tuple[Callable[[bytes], bytes], ...] = (
            self._flipped,
            self._replaced,
            self._without,
            self._doubled,
            self._inserted,
            self._overwritten,
            self._cut,
            self._spliced,
        )

    def next(self) -> bytes:
        """A sample with one to four changes."""
        data = self.random.choice(self._samples)
        for _ in range(self.random.randint(1, _CHANGES_MAX)):
            data = self.random.choice(self._kinds)(data)
        return data

    def _place(self, data: bytes) -> int:
        return self.random.randint(0, len(data))

    def _flipped(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + bytes(byte ^ 1 << self.random.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]

    def _replaced(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + bytes([self.random.choice(_INTERESTING)]) + data[at + 1 :]

    def _without(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + data[at + self.random.randint(1, 8) :]

    def _doubled(self, data: bytes) -> bytes:
        first, last = sorted((self._place(data), self._place(data)))
        return data[:last] + data[first : first + 64] + data[last:]

    def _inserted(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self.random.choice(self._tokens) + data[at:]

    def _overwritten(self, data: bytes) -> bytes:
        at, token = self._place(data), self.random.choice(self._tokens)
        return data[:at] + token + data[at + self.random.randint(1, len(token)) :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _spliced(self, data: bytes) -> bytes:
        other = self.random.choice(self._samples)
        return data[: self._place(data)] + other[self._place(other) :]
