"""What a stage offers for embedding costs nothing before it is used."""

import subprocess
import sys

from tests.unit.embedding.shop import APP

from onstage.embedding.asgi import StageApp
from onstage.embedding.embeddable import NOT_ENTERED

CODE = """
import sys
from onstage import App, Service
stage = App(Service("s")).run("memory:")
heavy = {"starlette", "fastapi", "sqlalchemy", "django", "psycopg", "opentelemetry", "sqlite3", "prometheus_client"}
print(sorted(heavy & set(sys.modules)), "onstage.embedding.background" in sys.modules)
"""


def test_a_stage_loads_no_framework_driver_or_tracer() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[] False\n"


def test_who_mounts_a_stage_has_it_measured() -> None:
    stage = APP.run("memory:")
    assert (stage.is_measured, stage.loop, stage.not_ready()) == (False, None, NOT_ENTERED)
    assert isinstance(stage.asgi, StageApp)
    assert stage.is_measured


def test_a_lazy_background_has_entered_nothing() -> None:
    stage = APP.run("memory:")
    background = stage.run_in_background(lazy=True)
    assert stage.loop is None
    background.stop()
