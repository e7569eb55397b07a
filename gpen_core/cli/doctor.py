"""`gpen doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from .console import megabytes, table

if TYPE_CHECKING:
    from ..weights.entry import ZooEntry

NAME = "doctor"
HELP = "Say which versions, devices, extras and models are here, what is missing, and how to get it."
EXAMPLE = "gpen doctor --json"

# Module → what it is for, and the extra that brings it.
_EXTRAS = {
    "av": ("films", "video"),
    "accelerate": ("training", "train"),
    "tensorboard": ("training curves", "train"),
    "torchmetrics": ("metrics", "metrics"),
    "lpips": ("metrics", "metrics"),
    "spandrel": ("background upscaling", "background"),
    "gradio": ("the page in the browser", "app"),
    "fastapi": ("the service", "serve"),
    "pillow_heif": ("HEIF pictures", "heif"),
    "imagecodecs": ("AVIF of more than 8 bits", "avif"),
    "pillow_jxl": ("JPEG XL pictures", "jxl"),
    "rawpy": ("camera RAW", "raw"),
}
_DISTRIBUTIONS = {
    "pillow_heif": "pillow-heif",
    "pillow_jxl": "pillow-jxl-plugin",
    "cv2": "opencv-python",
    "PIL": "pillow",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report. state: ok, missing (an extra), or broken (something that is needed)."""

    what: str
    state: str
    value: str
    remedy: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 when something that is needed is broken."""
    findings = examine()
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print(table(("what", "state", "value"), [(f.what, f.state, f.value) for f in findings]))
        remedies = [f"{f.what}: {f.remedy}" for f in findings if f.remedy]
        if remedies:
            print("\n" + "\n".join(remedies))
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def examine() -> list[Finding]:
    """Everything that is looked at, in the order in which it is printed."""
    return [
        Finding(what="gpen", state="ok", value=__version__),
        Finding(what="python", state="ok", value=f"{platform.python_version()} on {platform.platform()}"),
        *(_package(name) for name in ("torch", "safetensors", "huggingface_hub", "numpy", "PIL")),
        *_devices(),
        _optional("torchvision", "torchvision operators", _torchvision_operators, _TORCHVISION_REMEDY),
        _optional("cv2", "OpenCV", lambda: importlib.import_module("cv2"), _OPENCV_REMEDY),
        _optional("facexlib", "facexlib", lambda: importlib.import_module("facexlib.version"), "pip install facexlib"),
        _compiler(),
        *(_extra(module, purpose, extra) for module, (purpose, extra) in _EXTRAS.items()),
        *_cache(),
    ]


_TORCHVISION_REMEDY = "install the torchvision that belongs to your torch: pip install --upgrade torch torchvision"
_OPENCV_REMEDY = "pip install opencv-python-headless (needs no libGL), after pip uninstall opencv-python"


def _version(module: str) -> str:
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(module, module))
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def _package(module: str) -> Finding:
    return _works(module, module, lambda: importlib.import_module(module), f"pip install {module}")


def _works(module: str, what: str, attempt: Callable[[], object], remedy: str) -> Finding:
    """Whether `attempt` goes through: a package may be there and yet not load its libraries."""
    try:
        attempt()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        lines = str(error).strip().splitlines()
        return Finding(what=what, state="broken", value=lines[0] if lines else type(error).__name__, remedy=remedy)
    return Finding(what=what, state="ok", value=_version(module))


def _optional(module: str, what: str, attempt: Callable[[], object], remedy: str) -> Finding:
    """What only facexlib's own networks need: missing, it is no fault; broken, it is one."""
    if importlib.util.find_spec(module) is None:
        purpose = "for ParseNet, ArcFace and the ResNet-50 detector"
        return Finding(what=what, state="missing", value=purpose, remedy="pip install facexlib")
    return _works(module, what, attempt, remedy)


def _torchvision_operators() -> None:
    import torch
    from torchvision.ops import nms

    nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)


def _devices() -> list[Finding]:
    import torch

    cpu = torch.backends.cpu.get_cpu_capability()
    found = [Finding(what="cpu", state="ok", value=f"{torch.get_num_threads()} threads, {cpu}")]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        toolkit = torch.version.cuda or torch.version.hip
        value = f"{properties.name}, {megabytes(properties.total_memory)}, torch for {toolkit}"
        found.append(Finding(what=f"cuda:{index}", state="ok", value=value))
    if torch.backends.mps.is_available():
        found.append(Finding(what="mps", state="ok", value="Apple's GPU"))
    found += [
        Finding(what=f"xpu:{index}", state="ok", value=torch.xpu.get_device_name(index))
        for index in range(torch.xpu.device_count())
    ]
    return found


def _compiler() -> Finding:
    name = next((c for c in (os.environ.get("CXX"), "g++", "clang++", "cl") if c and shutil.which(c)), None)
    if name is None:
        remedy = "needed only for compile=True on a CPU: install g++ or clang++"
        return Finding(what="C++ compiler", state="missing", value="–", remedy=remedy)
    return Finding(what="C++ compiler", state="ok", value=f"{shutil.which(name)}")


def _extra(module: str, purpose: str, extra: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(what=module, state="missing", value=f"for {purpose}", remedy=f"pip install 'gpen[{extra}]'")
    return Finding(what=module, state="ok", value=f"{_version(module)}, for {purpose}")


def _cache() -> list[Finding]:
    from huggingface_hub import constants

    from ..weights import fetching, zoo
    from ..weights.cache import cache_folder

    findings = [
        _writable("Hub cache", Path(constants.HF_HUB_CACHE), "set HF_HOME to a folder that can be written"),
        _writable("gpen cache", cache_folder(), "set HF_HOME to a folder that can be written"),
    ]
    if constants.HF_HUB_OFFLINE:
        findings.append(Finding(what="HF_HUB_OFFLINE", state="ok", value="set: nothing is fetched"))
    here = {entry.name: fetching.cached(entry) for entry in zoo.MODELS}
    found = [
        Finding(what=entry.name, state="ok", value=f"{path} ({megabytes(path.stat().st_size)}){_beside(entry)}")
        for entry in zoo.MODELS
        if (path := here[entry.name]) is not None
    ]
    if here[zoo.DEFAULT_MODEL] is None:
        remedy = "reinstall gpen, or name another model (`gpen models`)"
        findings.append(Finding(what=zoo.DEFAULT_MODEL, state="missing", value="not in this copy", remedy=remedy))
    return findings + found


def _beside(entry: ZooEntry) -> str:
    return "" if entry.larger is None else f", and {entry.larger} for larger faces"


def _writable(what: str, folder: Path, remedy: str) -> Finding:
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        # Reading still works; only fetching and converting do not keep their results.
        return Finding(what=what, state="missing", value=f"{folder}: {error.strerror}", remedy=remedy)
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    free = shutil.disk_usage(nearest).free
    return Finding(what=what, state="ok", value=f"{folder}, holds {megabytes(held)}, {megabytes(free)} free")
