"""The house rules: who may import whom, and what an import costs."""

import ast
import os
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gpen_core"

MAY_IMPORT = {
    "errors": set(),
    "fields": {"errors"},
    "files": {"errors"},
    "archives": {"errors", "images"},
    "config": {"errors", "fields"},
    "contracts": set(),
    "threads": set(),
    "treatment": set(),
    "options": {"errors", "fields"},
    "option_texts": {"errors", "fields"},
    "film_options": {"errors", "fields"},
    "images": {"errors", "files"},
    "architecture": {"errors", "config", "threads"},
    "formats": {"errors", "config", "contracts", "architecture"},
    "faces": {"errors", "images", "options", "threads"},
    "weights": {"errors", "fields", "config", "files", "architecture", "formats", "faces"},
    "losses": {"errors", "config", "architecture", "images"},
    "data": {"errors", "fields", "config", "files", "archives", "images", "faces"},
    "restore": {"errors", "fields", "config", "contracts", "options", "images", "faces", "weights", "treatment"},
    "background": {"errors", "options", "images", "weights"},
    "report": {"errors", "files", "images", "treatment"},
    "tasks": {"errors", "fields", "config", "contracts", "options", "images", "faces", "restore"},
    "bulk": {"errors", "files", "archives", "images", "batch", "report"},
    "batch": {"errors", "files", "contracts", "options", "images", "restore", "background", "report", "threads"},
    "video": {
        "threads",
        "errors",
        "fields",
        "files",
        "contracts",
        "options",
        "film_options",
        "images",
        "faces",
        "restore",
        "batch",
        "background",
    },
    "measures": {
        "errors",
        "config",
        "contracts",
        "files",
        "images",
        "faces",
        "weights",
        "losses",
        "restore",
        "threads",
    },
    "serve_options": {"errors", "fields"},
    "app": {
        *("errors", "fields", "options", "option_texts", "images", "faces", "weights", "restore", "tasks", "video"),
        *("batch", "measures", "page", "report", "serve", "threads"),
    },
    "serve": {
        *("errors", "fields", "contracts", "options", "option_texts", "serve_options", "images", "restore"),
        *("batch", "measures", "report", "threads"),
    },
    "bench": {"errors", "config", "architecture", "formats", "weights"},
    "trainer": {
        "errors",
        "fields",
        "config",
        "files",
        "architecture",
        "images",
        "losses",
        "data",
        "weights",
        "measures",
    },
    "personal": {
        *("errors", "files", "contracts", "options", "images", "faces", "data", "weights", "restore", "measures"),
        "trainer",
    },
    "__init__": set(),
}
"""Every room of gpen_core and what it may import of it."""
MAY_IMPORT["page"] = {"errors", "images", "report"}
MAY_IMPORT["cli"] = set(MAY_IMPORT)


def test_every_room_says_what_it_may_import() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or list(path.glob("*.py"))}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", [".", "gpen_core", "nodes", "integrations", "training", "docs", "tests"])
def test_no_file_is_above_350_lines(folder: str) -> None:
    paths = (ROOT / folder).glob("*.py") if folder == "." else (ROOT / folder).rglob("*.py")
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in paths}
    assert {path: length for path, length in lengths.items() if length > 350} == {}


def imports_of(path: Path) -> list[ast.ImportFrom]:
    """The relative imports of a module, also in functions, but not under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    return [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level and id(n) not in skipped]


def parts_imported(path: Path) -> set[str]:
    """The first-level parts of gpen_core that a module imports."""
    package = path.relative_to(PACKAGE).with_suffix("").parts[:-1]
    found = set()
    for node in imports_of(path):
        base = package[: len(package) - (node.level - 1)]
        target = [*base, *(node.module.split(".") if node.module else [])]
        if target:
            found.add(target[0])
        else:
            found.update(alias.name for alias in node.names)
    return {part for part in found if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").exists()}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    imported = parts_imported(path) - {part}
    assert imported <= MAY_IMPORT[part], f"{part} may not import {imported - MAY_IMPORT[part]}"


def modules_imported(path: Path, every: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The modules of the core that one imports, also in functions, but not under TYPE_CHECKING."""
    inside = path.relative_to(PACKAGE).with_suffix("").parts
    found = set()
    for node in imports_of(path):
        base = inside[: len(inside) - node.level] + tuple((node.module or "").split(".") if node.module else ())
        named = {(*base, alias.name) for alias in node.names}
        found |= named & every or {base, (*base, "__init__")} & every
    return found - {inside}


def test_no_module_imports_itself_by_way_of_others() -> None:
    paths = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in modules()}
    graph = {name: modules_imported(path, set(paths)) for name, path in paths.items()}
    assert ("images", "writing") in graph["images", "picture"]
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_inside_the_core_are_relative_and_know_no_host(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            assert name.split(".")[0] not in {"gpen_core", "training", "nodes", "comfy", "comfy_api", "folder_paths"}, (
                name
            )


def test_nothing_touches_the_search_path() -> None:
    for folder in ("gpen_core", "nodes", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"\bsys\.path\b", path.read_text()), path


def in_a_fresh_interpreter(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT.parent
    )
    return done.stdout


def test_importing_the_core_brings_no_heavy_package() -> None:
    heavy = (
        "cv2 torchvision facexlib accelerate av spandrel lpips torchmetrics tensorboard matplotlib gpen_core.trainer"
    )
    code = f"import sys; from gpen_core import *; print(*[name for name in {heavy.split()!r} if name in sys.modules])"
    assert in_a_fresh_interpreter(code).split() == []


def test_restoring_with_what_ships_waits_for_no_heavy_package() -> None:
    code = """
import sys, numpy as np
from gpen_core import FaceRestorer, load_detector, load_model
restorer = FaceRestorer(load_model("gpen-open-256", device="cpu"), load_detector(device="cpu"))
restorer.restore(np.zeros((64, 64, 3), np.uint8))
print(*[name for name in ("torchvision", "facexlib", "cv2", "sympy", "torch._dynamo") if name in sys.modules])
"""
    assert in_a_fresh_interpreter(code).split() == []


def test_judging_does_not_bring_the_trainer() -> None:
    code = """
import pkgutil, sys, gpen_core.measures as wing
for module in pkgutil.iter_modules(wing.__path__, "gpen_core.measures."):
    __import__(module.name)
print("gpen_core.trainer" in sys.modules)
"""
    assert in_a_fresh_interpreter(code).strip() == "False"


def test_every_public_name_is_there_and_named_once() -> None:
    import gpen_core

    source = ast.parse(Path(gpen_core.__file__).read_text())
    told = {alias.asname for node in ast.walk(source) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {*gpen_core.__all__} - {"__version__"} == told - {None}
    assert len(gpen_core.__all__) == len({*gpen_core.__all__})
    assert all(getattr(gpen_core, name) is not None for name in gpen_core.__all__)


def test_the_errors_tree_is_drawn_as_it_is() -> None:
    from gpen_core import errors

    drawn = re.findall(r"^(?: {4})?([│ ]*[├└]── )?(\w+Error)\b(?:, (\w+))?", errors.__doc__ or "", re.MULTILINE)
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name for _, name, _ in drawn} == set(kinds)
    parents: dict[int, str] = {0: "GPENError"}
    for branch, name, other in drawn:
        parents[len(branch)] = name
        wanted = [parents[max(0, len(branch) - 4)], *([other] if other else [])] if branch else ["Exception"]
        assert [base.__name__ for base in kinds[name].__bases__] == wanted


def test_the_package_itself_does_not_bring_torch() -> None:
    assert in_a_fresh_interpreter("import sys, gpen_core; print('torch' in sys.modules)").strip() == "False"


def test_importing_the_core_changes_no_global_switch() -> None:
    code = """
import torch
def switches():
    return (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype(), torch.initial_seed(),
            torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
torch.manual_seed(5)
before = switches()
from gpen_core import *
print(before == switches())
"""
    assert in_a_fresh_interpreter(code).strip() == "True"


def test_requirements_mirror_the_dependencies() -> None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == [name for name in dependencies if not name.startswith("facexlib")]
