"""Telling the token once."""

from typing import Any

from onstage.web.security import COOKIE, CSRF_HEADER


def test_who_tells_the_token_may_look_and_act_and_nobody_else(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui("http://board.example", token="open sesame")
    assert 'type="password"' in client.get("/login").text
    assert client.post("/login", data={"token": "guess"}).status_code == 403
    assert COOKIE not in client.cookies
    answer = client.post("/login", data={"token": "open sesame"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert client.get("/api/v1/attention").status_code == 200
    said = {CSRF_HEADER: client.get("/api/v1/session").json()["csrf"]}
    assert client.post("/api/v1/handlers/mail/pause", headers=said).status_code == 409
    assert client.post("/api/v1/handlers/mail/pause").status_code == 403


def test_another_site_cannot_log_in_for_somebody(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui("http://board.example", token="open sesame")
    answer = client.post("/login", data={"token": "open sesame"}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


def test_without_a_token_there_is_nothing_to_tell(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    assert ui().post("/login", data={"token": ""}).status_code == 403


def test_a_cookie_of_an_earlier_server_is_worth_nothing(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    one, other = (ui("http://board.example", token="open sesame") for _ in range(2))
    one.post("/login", data={"token": "open sesame"})
    other.cookies.update(one.cookies)
    assert other.get("/api/v1/attention").status_code == 401
