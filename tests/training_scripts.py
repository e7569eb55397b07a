"""The scripts of `training/` and `docs/scripts/`, of no package that is installed: loaded from their files."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TRAINING = Path(__file__).parent.parent / "training"
DOCS = TRAINING.parent / "docs" / "scripts"


def script(path: str | Path) -> ModuleType:
    """The module in `training/path`; its folder's other modules where that folder is a package."""
    file = TRAINING / path
    if (file.parent / "__init__.py").exists():
        package = f"training_{file.parent.name}"
        _load(package, file.parent / "__init__.py", [str(file.parent)])
        return importlib.import_module(f"{package}.{file.stem}")
    return _load(f"training_{file.parent.name}_{file.stem}", file, None)


def _load(name: str, file: Path, places: list[str] | None) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=places)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def call(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    """What the script does on this command line."""
    monkeypatch.setattr("sys.argv", [module.__name__, *map(str, words)])
    module.main()
