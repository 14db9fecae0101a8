"""Decodes hostile input under an audit hook, in a process of its own: `python -m tests.fuzz.audited [PLANT]`.

Prints, as JSON, how many inputs were decoded and which audit events came meanwhile. A hook cannot be removed, hence the
process. What the decoders import at their first use is imported before, by decoding what is valid.
"""

import json
import pickle
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any, Final

from tests.fuzz.decoders import DECODERS
from tests.fuzz.hostile import json_values, packed_values
from tests.fuzz.mutation import Mutator
from tests.fuzz.trial import Broken, attempt

SEED: Final = 20_260_103
MUTATIONS: Final = 1_000
CODE: Final = frozenset(
    {"pickle.find_class", "marshal.loads", "exec", "compile", "import", "code.__new__", "ctypes.dlopen"}
)
"""What turns data into code. The other events of interest are those of files, processes and sockets."""
OUTSIDE: Final = ("open", "os.", "shutil.", "socket.", "subprocess.", "sqlite3.", "urllib.", "tempfile.", "mmap.")

PLANTS: Final[dict[str, Callable[[bytes], Any]]] = {
    "pickle": lambda _: pickle.loads(b"cstring\ncapwords\n."),  # noqa: S301  the fault to find
    "eval": lambda _: eval("1 + 1"),  # noqa: S307  see above
    "import": lambda _: __import__("wave"),
    "importlib": lambda _: import_module("wave"),  # which audits no import, but what an import does
    "file": lambda _: open("/dev/null").close(),  # noqa: PTH123  see above
}


def main(plant: str | None) -> None:
    """Warm up, install the hook, decode, report."""
    decoders = [*DECODERS]
    if plant is not None:
        decoders[3] = replace(decoders[3], decode=PLANTS[plant])
    inputs = []
    for decoder in decoders:
        mutator = Mutator(SEED, decoder.samples, decoder.tokens)
        inputs.append([mutator.next() for _ in range(MUTATIONS)])
    hostile = [value for value in (*json_values(), *packed_values()) if len(value) < 100_000]
    for decoder in DECODERS:
        for data in (*decoder.samples, b"\xff", b"["):
            attempt(decoder, data)
    seen: Counter[str] = Counter()
    sys.addaudithook(lambda event, _: seen.update([event]) if event in CODE or event.startswith(OUTSIDE) else None)
    count = 0
    for decoder, mutated in zip(decoders, inputs, strict=True):
        for data in (*mutated, *hostile):
            count += 1
            with suppress(Broken):  # what a decoder does with input of another kind is no matter here
                attempt(decoder, data)
    found = dict(seen)
    print(json.dumps({"inputs": count, "events": found}))  # noqa: T201  the answer to the parent


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
