"""Addresses: what a URL says, what the environment says, and what is refused without showing a secret."""

import pytest

from onstage.brokers.nats.address import Address
from onstage.errors import UsageError

REFUSED = [
    ("", "begins with nats://"),
    ("http://a:4222", "begins with nats://"),
    ("nats://", "host:port"),
    ("nats://a:x", "host:port"),
    ("nats://a:99999", "host:port"),
    ("nats://a,,b", "host:port"),
    ("nats://a/shop", "?namespace=shop"),
    ("nats://a?namespace=Shop", "a-z, 0-9"),
    ("nats://a?namespace=a.b", "a-z, 0-9"),
    ("nats://a?name=shop", "there are: namespace"),
    ("nats://a?replicas=0", "from 1 to 5"),
    ("nats://a?replicas=6", "from 1 to 5"),
    ("nats://a?replicas=three", "from 1 to 5"),
    ("nats://a?replicas=1&replicas=3", "once"),
    ("nats://a?namespace=", "leave it out"),
    ("nats://a?window=0s", "at least 1s"),
    ("nats://a?window=soon", "at least 1s"),
    ("nats://u:topsecret@a?creds=/c", "one of user, creds and nkey"),
    ("nats://a?creds=/c&nkey=/n", "one of user, creds and nkey"),
    ("nats://u:topsecret@a?what=1", "there are: namespace"),
]


def test_a_short_url_has_defaults() -> None:
    address = Address.parse("nats://localhost")
    assert address == Address(("nats://localhost:4222",))
    assert (address.namespace, address.replicas, address.window_s) == ("onstage", 1, 120.0)


def test_a_long_url_says_everything() -> None:
    url = "tls://ann:s%40cret%3A@a:1,b.example:2,[::1]:3?namespace=shop&replicas=3&window=10m&ca=/etc/ca.pem"
    assert Address.parse(url) == Address(
        ("tls://a:1", "tls://b.example:2", "tls://[::1]:3"),
        is_tls=True,
        user="ann",
        password="s@cret:",
        namespace="shop",
        replicas=3,
        window_s=600.0,
        ca="/etc/ca.pem",
    )


def test_a_name_alone_is_a_token() -> None:
    assert Address.parse("nats://token@a").password is None
    assert Address.parse("nats://ann:@a").password == ""


def test_the_environment_names_files_that_the_url_does_not() -> None:
    environ = {"ONSTAGE_NATS_CREDS": "/env/creds", "ONSTAGE_NATS_CA": "/env/ca", "OTHER": "x"}
    address = Address.parse("nats://a?ca=/url/ca", environ)
    assert (address.creds, address.ca, address.nkey) == ("/env/creds", "/url/ca", None)
    assert Address.parse("nats://a", {"ONSTAGE_NATS_NKEY": "/env/seed"}).nkey == "/env/seed"


def test_no_password_is_shown() -> None:
    address = Address.parse("nats://ann:topsecret@a:1,b:2")
    assert "topsecret" not in repr(address)
    assert address.shown == "nats://a:1,nats://b:2"


@pytest.mark.parametrize(("url", "mend"), REFUSED)
def test_a_wrong_url_is_refused_in_three_lines(url: str, mend: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(url)
    lines = str(caught.value).split("\n")
    assert [line.strip().partition(":")[0] for line in lines[1:]] == ["why", "to do"]
    assert mend in lines[2]
    assert "topsecret" not in str(caught.value)
