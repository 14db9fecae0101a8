"""The page about `onstage check`: its table is the table of codes."""

import re
from pathlib import Path

from onstage.contracts.check_codes import CODES

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/check-a-choreography.md"
ROW = re.compile(r"^\| `(OS\d+)` \| ([^|]+) \| (?:error|warning|note|as OS\d+)[^|]* \| .{10,} \|$", re.MULTILINE)


def test_every_code_has_a_row_that_says_what_it_finds() -> None:
    assert dict(ROW.findall(PAGE.read_text())) == dict(CODES)
