"""Journal entries: stored forms, and which end a call."""

import msgspec
import pytest

from onstage.core import journal
from onstage.core.journal import Entry, decode_entry, encode_entry, fingerprint, has_paused, is_final
from onstage.events.codec import DecodeFailed

ENTRIES: list[Entry] = [
    journal.Begun("a#0", 1, "undo", b"c"),
    journal.Attempted("a#0", 1, 2, 3, "no", 4),
    journal.Stepped("a#0", 1, b"r", 5, 1, 9),
    journal.Stepped("a#0", 1, b"r", 5, 1, 9, "undo", b"c"),
    journal.Failed("a#0", 1, None, None, "no", 3),
    journal.Transacted("a#0", 1, b"r", 5),
    journal.Emitted("a#0", 1, 7),
    journal.WaitOpened("a#0", ("x", "y"), None),
    journal.WaitEnded("a#0", 7, "x", b"d"),
    journal.SleepOpened("a#0", 9),
    journal.Slept("a#0"),
    journal.Valued("a#0", b"v"),
    journal.Rejected("reject", "no"),
    journal.Undone("a#0"),
]
STORED: list[tuple[int, list[object]]] = [
    (1, [1, "undo", b"c"]),
    (2, [1, 2, 3, "no", 4]),
    (3, [1, b"r", 5, 1, 9]),
    (4, [1, None, None, "no", 3]),
    (5, [1, b"r", 5]),
    (6, [1, 7]),
    (7, [["x", "y"], None]),
    (8, [7, "x", b"d"]),
    (9, [9]),
    (10, []),
    (11, [b"v"]),
    (12, ["no"]),
    (13, []),
]
FINAL = {"Stepped", "Failed", "Transacted", "Emitted", "WaitEnded", "Slept", "Valued"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_survives_being_stored(entry: Entry) -> None:
    assert decode_entry(encode_entry(entry)) == entry
    assert is_final(entry) == (type(entry).__name__ in FINAL)


def test_every_kind_of_entry_has_its_own_stored_tag() -> None:
    tags = {type(entry): msgspec.msgpack.decode(encode_entry(entry))[0] for entry in ENTRIES}
    assert sorted(tags.values()) == list(range(1, 14))


def test_a_stored_tag_never_changes_its_meaning() -> None:
    assert msgspec.msgpack.decode(encode_entry(journal.Begun("a#0", 1, "undo", b"c"))) == [1, "a#0", 1, "undo", b"c"]
    kinds = [type(decode_entry(msgspec.msgpack.encode([tag, "a#0", *rest]))).__name__ for tag, rest in STORED]
    assert kinds == [
        *("Begun", "Attempted", "Stepped", "Failed", "Transacted", "Emitted", "WaitOpened", "WaitEnded"),
        *("SleepOpened", "Slept", "Valued", "Rejected", "Undone"),
    ]


def test_an_entry_is_a_value() -> None:
    assert len({*ENTRIES, *(decode_entry(encode_entry(entry)) for entry in ENTRIES)}) == len(ENTRIES)


def test_an_entry_of_a_later_version_is_read_without_its_additions() -> None:
    assert decode_entry(msgspec.msgpack.encode([10, "a#0", "new"])) == journal.Slept("a#0")


def test_a_wait_or_a_sleep_shows_in_the_journal_whichever_of_its_entries_is_there() -> None:
    pauses = (journal.WaitOpened, journal.WaitEnded, journal.SleepOpened, journal.Slept)
    assert [has_paused([entry]) for entry in ENTRIES] == [isinstance(entry, pauses) for entry in ENTRIES]
    assert has_paused([journal.Valued("now#0", b"1"), journal.Slept("sleep#0")])
    assert not has_paused([])


def test_the_fingerprint_of_arguments_is_stable() -> None:
    assert fingerprint(b"[1,2]") == 0x88B50BF
    assert fingerprint(b"[1,2]") != fingerprint(b"[2,1]")


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x90", b"\x92\x0a\xa1\xff", b"\x92\x63\xa1a", b"\x93\x0a\xa1a" + b"\x91" * 9_999]
)
def test_what_is_no_entry_is_refused_with_one_error(body: bytes) -> None:
    with pytest.raises(DecodeFailed, match="a journal entry: "):
        decode_entry(body)
