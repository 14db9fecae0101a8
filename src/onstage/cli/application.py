"""Finding the user's app: `module:attribute`, imported with the present folder on the path."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from onstage.cli.failures import Exit, Failure
from onstage.errors import OnstageError

if TYPE_CHECKING:
    from types import ModuleType

    from onstage.app import App

__all__ = ["load_app"]


def load_app(target: str | None, *folders: Path) -> App:
    """The app at `target`, such as `shop.app:app`; the attribute defaults to `app`.

    Raises Failure (usage) if there is none, and whatever OnstageError the definitions raise.
    """
    from onstage.app import App

    if not target:
        raise Failure(
            "which app?",
            "none is named, and no pyproject.toml remembers one",
            'name it as module:attribute, or write app = "app:app" under [tool.onstage]',
            code=Exit.USAGE,
        )
    name, _, attribute = target.partition(":")
    name = name.removesuffix(".py").replace("/", ".")
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    module = _imported(name, target)
    app = getattr(module, attribute or "app", None)
    if isinstance(app, App):
        return app
    found = [name for name, value in vars(module).items() if isinstance(value, App)]
    why = f"{name} has no {attribute or 'app'}" if app is None else f"it is a {type(app).__name__}, no onstage.App"
    mend = f"write {name}:{found[0]}" if found else "make one: app = App(...)"
    raise Failure(f"there is no app at {target}", why, mend, code=Exit.USAGE)


def _imported(name: str, target: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(target, error) from error
        raise Failure(
            f"there is no app at {target}",
            f"no module {error.name} in {Path.cwd()}",
            "change to the folder of that module, or name another",
            code=Exit.USAGE,
        ) from error
    except OnstageError:
        raise
    except (Exception, SystemExit) as error:
        raise _broken(target, error) from error


def _broken(target: str, error: BaseException) -> Failure:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}:{error.lineno})"
    why = f"{type(error).__name__}: {error}{place}"
    return Failure(f"the app {target} cannot be imported", why, "correct it; --debug shows the traceback")
