"""The three networks that restoring a photograph takes, ready to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import torch
from torch import Tensor

from ..config import Task
from ..errors import DeviceError, InputError, WeightsError
from . import checkpoint, hub, zoo
from .checkpoint import read_state_dict
from .description import foreign, shapes_of
from .hub import Located, Source, locate
from .pretrained import GPEN

if TYPE_CHECKING:
    from ..architecture import Prior
    from ..architecture.prepared import PreparedGPEN
    from ..faces.detect import RetinaFaceDetector
    from ..faces.parse import ParseNetParser

Device = str | torch.device


@overload
def load_model(
    source: Source | None = None,
    *,
    device: Device = "auto",
    precision: str = "auto",
    revision: str | None = None,
    prepare: Literal[True] = True,
    task: Task | None = None,
    compile: bool = False,
    graph: bool = False,
    trust_pickle: bool = False,
) -> PreparedGPEN: ...
@overload
def load_model(
    source: Source | None = None,
    *,
    device: Device = "auto",
    precision: str = "auto",
    revision: str | None = None,
    prepare: Literal[False],
    task: Task | None = None,
    compile: bool = False,
    graph: bool = False,
    trust_pickle: bool = False,
) -> GPEN: ...
def load_model(
    source: Source | None = None,
    *,
    device: Device = "auto",
    precision: str = "auto",
    revision: str | None = None,
    prepare: bool = True,
    task: Task | None = None,
    compile: bool = False,
    graph: bool = False,
    trust_pickle: bool = False,
) -> PreparedGPEN | GPEN:
    """The network that `source` names: in its fast inference form, or (`prepare=False`) with canonical parameters.

    source: a path, else a name in the zoo, else "owner/repo[/file]" on the Hub; None: the open model that ships.
    device: "auto" takes the first of CUDA, Apple's, Intel's and the CPU. precision: fp32, tf32, bf16, fp16, or "auto",
    the fastest that keeps 45 dB to fp32 (canonical parameters are always float32). revision: of a Hub repository.
    task: what a file is for that does not say so itself. compile: through torch.compile.
    graph: as CUDA graphs.
    trust_pickle: read a pickle of unknown content with a torch below 2.6.
    Raises WeightsError, HubError, DeviceError; every message names the remedy.
    """
    target = choose_device(device)
    if not prepare and (precision not in ("auto", "fp32") or compile or graph):
        raise InputError(
            f"prepare=False gives plain float32 parameters; precision {precision}, compile and graph need prepare"
        )
    located = locate(zoo.DEFAULT_MODEL if source is None else source, kind="restorer", revision=revision)
    model = GPEN.from_file(located, task=task, trust_pickle=trust_pickle)
    if not prepare:
        return model.to(target)
    from ..architecture.prepared import prepare as prepare_model

    return prepare_model(model, precision=precision, device=target, compile=compile, graph=graph)


def load_prior(path: Source, *, device: Device = "auto", trust_pickle: bool = False) -> Prior:
    """The GAN prior in a file: StyleGAN2 (rosinality's names), StyleGAN v1, PGGAN (genforce's) or BigGAN (ajbrock's).

    `prior.sample(z)` draws its pictures, in [-1, 1]. path: a .pth or .safetensors file, read as data only; what it
    holds is told from its shapes. Float32, in evaluation mode, without gradients.
    Raises WeightsError that names what the file holds instead.
    """
    return checkpoint.read_prior(Path(path).expanduser(), trust_pickle=trust_pickle).to(choose_device(device))


def load_detector(source: Source | None = None, *, device: Device = "auto") -> RetinaFaceDetector:
    """A face detector: of a path, a name in the zoo, or "owner/repo/file" on the Hub.

    source: None takes a zoo's detector if it has been fetched before, else the open one that ships; nothing is
    fetched. Raises WeightsError, HubError, MissingPackageError.
    """
    target = choose_device(device)
    located = _present_detector() if source is None else locate(source, kind="detector")
    state_dict = read_state_dict(located)
    if foreign(shapes_of(state_dict)) != "a RetinaFace detector":
        raise WeightsError(f"{located.path} is no RetinaFace detector; `gpen models` lists detectors")
    from ..faces.detect import RetinaFaceDetector

    return RetinaFaceDetector(_float32(state_dict)).to(target)


def load_parser(source: Source | None = None, *, device: Device = "auto") -> ParseNetParser:
    """A face parser: of a path, a name in the zoo, or "owner/repo/file" on the Hub; None: the zoo's ParseNet, fetched.

    Raises WeightsError, HubError, MissingPackageError.
    """
    target = choose_device(device)
    located = locate("parsenet" if source is None else source, kind="parser")
    state_dict = read_state_dict(located)
    if foreign(shapes_of(state_dict)) != "a ParseNet parser":
        raise WeightsError(f"{located.path} is no ParseNet parser; `gpen models` lists parsers")
    from ..faces.parse import ParseNetParser

    return ParseNetParser(_float32(state_dict)).to(target)


def choose_device(device: Device) -> torch.device:
    """The device of this name; "auto": the first at hand of CUDA, MPS, XPU, CPU. Raises DeviceError."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("xpu" if torch.xpu.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(
            f"there is no kind of device called {device!r}; use auto, cpu, cuda, cuda:1, mps or xpu"
        ) from error
    count = _devices(chosen.type)
    if (chosen.index or 0) >= count:
        raise DeviceError(f"device {device} is not at hand ({count} of its kind are); `gpen doctor` lists what is")
    return chosen


def _float32(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights kept in half precision, as they are used; counters stay integers."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _devices(kind: str) -> int:
    counts: dict[str, Callable[[], int]] = {
        "cuda": torch.cuda.device_count,
        "xpu": torch.xpu.device_count,
        "mps": torch.mps.device_count,
    }
    return counts[kind]() if kind in counts else 1


def _present_detector() -> Located:
    detectors = [entry for entry in zoo.MODELS if entry.kind == "detector"]
    # What was fetched was wanted; what ships is there for when nothing was.
    for entry in sorted(detectors, key=lambda e: e.bundled is not None):
        path = hub.cached(entry)
        if path is not None:
            return Located(path, entry)
    raise WeightsError(
        "no face detector is on this machine: `gpen models fetch retinaface-resnet50` brings one, "
        "or give the path of a RetinaFace file"
    )
