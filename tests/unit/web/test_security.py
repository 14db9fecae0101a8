"""Who may ask and who may act."""

from typing import Any

from onstage.web.security import COOKIE, CSRF_HEADER, Keys


def test_without_a_token_it_answers_on_this_machine_only(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    assert ui().get("/api/v1/attention").status_code == 200
    assert ui("http://evil.example").get("/api/v1/attention").status_code == 421


def test_a_cookie_is_strict_and_of_no_use_to_scripts(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    given = ui().get("/api/v1/attention").headers["set-cookie"]
    assert given.startswith(f"{COOKIE}=")
    assert "SameSite=Strict" in given
    assert "HttpOnly" in given


def test_with_a_token_nobody_looks_without_it(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui("http://board.example", token="open sesame")
    assert client.get("/api/v1/attention").status_code == 401
    assert client.get("/").headers["location"] == "/login"
    said = {"authorization": "Bearer open sesame"}
    assert client.get("/api/v1/attention", headers=said).status_code == 200


def test_no_script_stands_in_a_page(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    policy = ui().get("/").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_value_of_one_browser_does_not_fit_another() -> None:
    keys = Keys(b"secret")
    one, other = keys.cookie("1"), keys.cookie("2")
    assert keys.is_valid(one)
    assert not keys.is_valid(one + "x")
    assert not Keys(b"another").is_valid(one)
    assert keys.csrf(one) != keys.csrf(other)
    assert CSRF_HEADER.islower()


def posts(client: Any, **headers: str) -> int:
    return int(client.post("/api/v1/handlers/mail/pause", headers=headers, json={}).status_code)


def test_nothing_is_changed_without_the_value_of_this_browser(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client, other = ui(), ui()
    own = client.get("/api/v1/session").json()["csrf"]
    foreign = other.get("/api/v1/session").json()["csrf"]
    passed = 409  # it came through the guard: no node runs
    assert posts(client) == 403
    assert posts(client, **{CSRF_HEADER: foreign}) == 403
    assert posts(client, **{CSRF_HEADER: own}) == passed
    assert posts(client, **{CSRF_HEADER: own, "origin": "http://evil.example"}) == 403
    assert posts(client, **{CSRF_HEADER: own, "origin": "null"}) == 403
    assert posts(client, **{CSRF_HEADER: own, "sec-fetch-site": "cross-site"}) == 403
    assert posts(client, **{CSRF_HEADER: own, "origin": "http://localhost", "sec-fetch-site": "same-origin"}) == passed
    client.cookies.clear()
    assert posts(client, **{CSRF_HEADER: own}) == 403


def test_no_get_changes_anything(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui()
    paths = ["/api/v1/executions/1/retry", "/api/v1/handlers/mail/pause"]
    assert [client.get(path).status_code for path in paths] == [405, 405]


def test_a_body_that_is_too_long_is_refused(tiny: Any, ui: Any) -> None:
    tiny.play(("o1", 5))
    client = ui()
    said = {CSRF_HEADER: client.get("/api/v1/session").json()["csrf"], "content-type": "application/json"}
    assert client.post("/api/v1/events", content=b" " * (3 << 20), headers=said).status_code == 413
