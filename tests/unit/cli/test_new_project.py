"""`onstage new`: the project runs as it is."""

import asyncio
import tomllib
from typing import Any

from onstage.cli.application import load_app


def test_a_new_project_holds_an_app_that_runs(tiny: Any) -> None:
    result = tiny.run("new", "prop-shop")
    assert result.exit_code == 0
    assert "cd prop-shop && onstage dev" in result.stdout
    folder = tiny.folder / "prop-shop"
    (folder / "app.py").rename(folder / "prop_shop_app.py")
    app = load_app("prop_shop_app:app", folder)

    async def play() -> str:
        from prop_shop_app import OrderPlaced

        async with app.run("memory:") as stage:
            process = await stage.emit(OrderPlaced("o1", 4200))
            return str(await process.verdict(timeout="10s"))

    assert asyncio.run(play()) == "completed (order-paid)"


def test_its_settings_name_app_and_store_and_its_events_fit(tiny: Any) -> None:
    tiny.run("new", "prop-shop")
    folder = tiny.folder / "prop-shop"
    settings = tomllib.loads((folder / "pyproject.toml").read_text())
    assert settings["tool"]["onstage"] == {"app": "app:app", "store": "sqlite:///prop-shop.db"}
    (folder / "app.py").rename(tiny.folder / "prop_shop_events.py")
    answer = tiny.json("emit", "-f", str(folder / "events.jsonl"), "--app", "prop_shop_events")
    assert (answer["accepted"], answer["refused"]) == (3, [])


def test_a_folder_with_something_in_it_is_refused(tiny: Any) -> None:
    (tiny.folder / "mine").mkdir()
    (tiny.folder / "mine/file").touch()
    result = tiny.run("new", "mine")
    assert result.exit_code == 2
    assert [path.name for path in (tiny.folder / "mine").iterdir()] == ["file"]


def test_a_name_that_packaging_refuses_is_refused(tiny: Any) -> None:
    assert tiny.run("new", "what a name!").exit_code == 2
