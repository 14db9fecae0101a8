"""Fields that hold secrets are masked where people look."""

from typing import Any

import pytest

from onstage.reading.redaction import redacted


def test_secrets_are_masked_at_any_depth(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert redacted(b'{"a":1,"Secret":"x","in":[{"password":{"b":2}}]}') == (
        '{"a":1,"Secret":"•••","in":[{"password":"•••"}]}'.encode()
    )
    for plain in (b'{"a": 1}', b"no JSON, a secret", b'"secret"', b'{"amount": 5}', b"\xff secret"):
        assert redacted(plain) in (plain, b'"secret"')


def test_further_names_are_remembered_and_hold_everywhere(tiny: Any) -> None:
    settings = tiny.folder / "pyproject.toml"
    settings.write_text(settings.read_text() + 'redact = "iban, amount"\n')
    tiny.play(("o1", 7), ("o2", -1))
    assert '"amount":"•••"' in tiny.run("show", "o1").stdout
    assert tiny.json("show", "o1")["events"][0]["data"] == {"order_id": "o1", "amount": "•••"}
    listed = tiny.run("events", "ls").stdout
    assert '"amount":"•••"' in listed
    assert '"amount":7' not in listed
    (dead,) = tiny.json("dead", "ls")
    assert '"amount":"•••"' in tiny.run("dead", "show", str(dead["execution"])).stdout
