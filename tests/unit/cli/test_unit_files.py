"""The text of unit files and Procfiles."""

from pathlib import Path

from onstage.cli.unit_files import Deployment, environment_file, procfile, systemd_units

SHOP = Deployment(
    "app:app", ("payment", "mail.out"), "nats://h:4222?namespace=100%", "/usr/bin/python3", Path("/srv/Shop 1")
)


def test_there_is_a_unit_for_each_service_and_one_for_the_observer() -> None:
    units = systemd_units(SHOP)
    assert list(units) == [
        "onstage-shop-1-payment.service",
        "onstage-shop-1-mail-out.service",
        "onstage-shop-1-observer.service",
    ]
    stores = [f"/var/lib/onstage-shop-1/{name}.db" for name in ("payment", "mail.out", "view")]
    for text, store in zip(units.values(), stores, strict=True):
        assert f"--store sqlite:///{store}\n" in text


def test_a_unit_says_what_runs_where_and_comes_back() -> None:
    lines = systemd_units(SHOP)["onstage-shop-1-payment.service"].splitlines()
    command = "/usr/bin/python3 -m onstage.cli.main run app:app -s payment --log-level warning"
    assert f"ExecStart={command} --store sqlite:////var/lib/onstage-shop-1/payment.db" in lines
    assert "WorkingDirectory=/srv/Shop 1" in lines
    assert "Environment=ONSTAGE_BROKER=nats://h:4222?namespace=100%%" in lines
    for line in ("Restart=always", "NoNewPrivileges=yes", "ProtectSystem=strict", "User=onstage-shop-1"):
        assert line in lines


def test_credentials_are_read_from_a_file_that_may_be_missing() -> None:
    assert environment_file(SHOP) == "/etc/onstage-shop-1.env"
    assert all("EnvironmentFile=-/etc/onstage-shop-1.env\n" in text for text in systemd_units(SHOP).values())


def test_what_a_shell_or_systemd_would_take_for_its_own_is_quoted() -> None:
    odd = Deployment("app:app", ("pay ment",), "nats://h", "/opt/a $b/python", Path("/srv/x"))
    (unit, _) = systemd_units(odd).values()
    assert 'ExecStart="/opt/a $$b/python" -m onstage.cli.main run app:app -s "pay ment"' in unit
    assert procfile(odd)["Procfile"].startswith("pay-ment: onstage run app:app -s 'pay ment' ")


def test_a_procfile_has_a_line_for_each() -> None:
    payment, _, observer = procfile(SHOP)["Procfile"].splitlines()
    run = "onstage run app:app -s payment --log-level warning --store sqlite:///stores/payment.db"
    over = "--broker 'nats://h:4222?namespace=100%'"
    assert payment == f"payment: {run} {over}"
    assert observer == f"observer: onstage observe --store sqlite:///stores/view.db {over}"
