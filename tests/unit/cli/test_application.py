"""Finding the user's app."""

from typing import Any

import pytest

from onstage.cli.application import load_app
from onstage.cli.failures import Failure


def test_the_attribute_defaults_to_app_and_a_file_name_will_do(tiny: Any) -> None:
    app = tiny.app()
    assert load_app(tiny.module, tiny.folder) is app
    assert load_app(f"{tiny.module}.py:app", tiny.folder) is app


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (None, "which app"),
        ("no_such_module_here:app", "no module no_such_module_here"),
        ("MODULE:nothing", "write MODULE:app"),
        ("MODULE:payment", "it is a Service, no onstage.App"),
    ],
)
def test_what_is_no_app_is_told_with_a_mend(tiny: Any, target: Any, text: str) -> None:
    with pytest.raises(Failure) as refused:
        load_app(target and target.replace("MODULE", tiny.module), tiny.folder)
    assert refused.value.code == 2
    assert text.replace("MODULE", tiny.module) in str(refused.value)


@pytest.mark.parametrize("code", ["1 / 0", "import no_such_thing_either", "def f(:", "raise SystemExit(4)"])
def test_an_app_that_breaks_on_import_is_told_with_its_place(tiny: Any, code: Any) -> None:
    name = f"broken_{abs(hash(code))}"
    (tiny.folder / f"{name}.py").write_text(code)
    with pytest.raises(Failure, match="cannot be imported") as refused:
        load_app(f"{name}:app", tiny.folder)
    assert f"{name}.py:1" in refused.value.why
