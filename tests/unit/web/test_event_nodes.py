"""Stored events as they are shown."""

import pytest

from onstage.web.event_nodes import PAYLOAD_CHARS_MAX, payload_text


def test_secrets_are_masked_and_the_rest_is_laid_out(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    text, cut = payload_text(b'{"card":{"password":"x"},"n":1}')
    assert '"•••"' in text
    assert '"n": 1' in text
    assert not cut


def test_a_long_payload_is_cut_and_what_is_no_json_is_told() -> None:
    text, cut = payload_text(b'"' + b"a" * (PAYLOAD_CHARS_MAX + 5) + b'"')
    assert cut
    assert len(text) == PAYLOAD_CHARS_MAX
    assert payload_text(b"\xff\xfe") == ("fffe", False)
