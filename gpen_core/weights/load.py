"""The three networks that restoring a photograph takes, ready to run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import torch
from torch import Tensor

from ..config import ModelCard, Task, Template
from ..errors import DeviceError, InputError, OtherNetworkError, WeightsError
from . import checkpoint, zoo
from .cache import sha256_of
from .checkpoint import read_state_dict
from .description import OTHER_RESTORERS, choose_card, decode, foreign, shapes_of
from .entry import ONNX
from .fetching import cached
from .location import Located, Source, locate
from .pretrained import GPEN

if TYPE_CHECKING:
    from ..architecture import Prior
    from ..architecture.prepared import PreparedGPEN
    from ..architecture.sized import SizedGPEN
    from ..contracts import Sizes
    from ..faces.detect import RetinaFaceDetector
    from ..faces.occluder import FaceOccluder
    from ..faces.parse import BiSeNetParser, ParseNetParser
    from ..formats.onnx_model import OnnxModel
    from ..formats.restorers import OtherRestorer

    AnyModel = PreparedGPEN | SizedGPEN | OnnxModel | OtherRestorer

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
    providers: Sequence[str] | None = None,
    fidelity: float | None = None,
) -> AnyModel: ...
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
    providers: Sequence[str] | None = None,
    fidelity: float | None = None,
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
    providers: Sequence[str] | None = None,
    fidelity: float | None = None,
) -> AnyModel | GPEN:
    """The network that `source` names: in its fast inference form, or (`prepare=False`) with canonical parameters.

    source: a path, else a name in the zoo, else "owner/repo[/file]" on the Hub; None: "gpen-open", the two open models
    that ship (a `SizedGPEN`; with prepare=False the first of them).
    device: "auto" takes the first of CUDA, Apple's, Intel's and the CPU. precision: fp32, tf32, bf16, fp16, or "auto",
    the fastest that keeps 45 dB to fp32 (canonical parameters are always float32). revision: of a Hub repository.
    task: what a file is for that does not say so itself. compile: through torch.compile.
    graph: as CUDA graphs.
    trust_pickle: read a pickle of unknown content with a torch below 2.6.
    fidelity: CodeFormer's weight, from 0, the most beautiful, to 1, the most faithful; None: 0.5.
    providers: of ONNX Runtime, for an ONNX file (`formats.onnx_model.PROVIDERS`); None: what `device` asks for.
    Raises WeightsError, HubError, DeviceError; every message names the remedy.
    """
    target, plain = choose_device(device), precision in ("auto", "fp32") and not compile and not graph
    if not prepare and not plain:
        raise InputError(
            f"prepare=False gives plain float32 parameters; precision {precision}, compile and graph need prepare"
        )
    located = locate(zoo.DEFAULT_MODEL if source is None else source, kind="restorer", revision=revision)
    name = located.path.name
    if prepare and located.path.suffix.lower() == ONNX:
        if precision != "auto" or not plain:
            raise InputError("an ONNX file computes as it was written; leave precision at auto, compile and graph out")
        if fidelity is not None:
            raise InputError(f"fidelity is CodeFormer's; {name} is an ONNX file, leave it out")
        return _onnx_model(located, device, providers, task)
    if providers is not None:
        raise InputError(f"providers are ONNX Runtime's; {name} is not run by it, leave them out")
    try:
        model = GPEN.from_file(located, task=task, trust_pickle=trust_pickle)
    except OtherNetworkError as error:
        if not prepare or error.network not in OTHER_RESTORERS:
            raise
        if not plain:
            raise InputError(f"{error.network} computes in fp32; leave precision, compile and graph out") from None
        if task not in (None, "restoration"):
            raise InputError(f"{name} is {error.network}, and not for {task}; leave task out") from None
        return _other_restorer(located, fidelity, trust_pickle).to(target)
    if fidelity is not None:
        raise InputError(f"fidelity is CodeFormer's; {name} is a GPEN network, leave it out")
    if not prepare:
        return model.to(target)
    from ..architecture.prepared import prepare as prepare_model
    from ..architecture.sized import SizedGPEN

    fast = partial(prepare_model, precision=precision, device=target, compile=compile, graph=graph)
    entry = located.entry
    if entry is None or entry.larger is None:
        return fast(model)
    return SizedGPEN(fast(model), fast(GPEN.from_pretrained(entry.larger, task=task)), name=entry.name)


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


def load_parser(source: Source | None = None, *, device: Device = "auto") -> ParseNetParser | BiSeNetParser:
    """A face parser: of a path, a name in the zoo, or "owner/repo/file" on the Hub; None: the zoo's ParseNet, fetched.

    Raises WeightsError, HubError, MissingPackageError.
    """
    target = choose_device(device)
    located = locate("parsenet" if source is None else source, kind="parser")
    state_dict = read_state_dict(located)
    known = foreign(shapes_of(state_dict))
    if known not in ("a ParseNet parser", "a BiSeNet parser"):
        raise WeightsError(f"{located.path} is no ParseNet parser, nor BiSeNet; `gpen models` lists parsers")
    from ..faces.parse import BiSeNetParser, ParseNetParser

    kind = ParseNetParser if known == "a ParseNet parser" else BiSeNetParser
    return kind(_float32(state_dict)).to(target)


def load_occluder(source: Source | None = None, *, device: Device = "auto") -> FaceOccluder:
    """What tells what covers a face: of a path, a name in the zoo, or "owner/repo/file" on the Hub; None: the open one
    that ships.

    Raises WeightsError, HubError.
    """
    target = choose_device(device)
    located = locate(zoo.OPEN_OCCLUDER if source is None else source, kind="occluder")
    state_dict = read_state_dict(located)
    if foreign(shapes_of(state_dict)) != "an occlusion network":
        raise WeightsError(f"{located.path} is no occlusion network; `python -m training.occluder.train` makes one")
    from ..faces.occluder import FaceOccluder

    told = f"{located.path.name} {sha256_of(located.path)[:12]}" if located.entry is None else located.entry.name
    return FaceOccluder(_float32(state_dict), name=told).to(target)


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


def _onnx_model(located: Located, device: Device, providers: Sequence[str] | None, task: Task | None) -> OnnxModel:
    from ..formats.onnx_model import OnnxModel, metadata_of, open_session, sizes_of

    path = located.path
    if providers is None and device != "auto":
        providers = (str(device).split(":")[0], "cpu")
    session = open_session(path, providers)
    sizes = sizes_of(session, path)
    header = decode(metadata_of(session), str(path))
    if header.config is not None:
        card = choose_card(header.config, where=str(path), stated=header.card, task=task, name=path.stem)
    else:
        card = _card_of_onnx(located, sizes, task)
    return OnnxModel(session, header.config or sizes, card, path)


def _card_of_onnx(located: Located, sizes: Sizes, task: Task | None) -> ModelCard:
    """The zoo's, known by the content; else as programs that pass such files around pose faces, with a warning."""
    entry = zoo.with_hash(sha256_of(located.path)) or located.entry
    if entry is not None and entry.card is not None and task in (None, entry.card.task):
        return entry.card
    template: Template = "arcface" if sizes.in_size <= 256 else "ffhq"
    warnings.warn(
        f"{located.path} does not say how faces are posed: taken for {template} (--template gives another)",
        stacklevel=2,
    )
    return ModelCard(name=located.path.stem, task=task or "restoration", template=template, border="reflect")


def _other_restorer(located: Located, fidelity: float | None, trust_pickle: bool) -> OtherRestorer:
    from ..formats.restorers import read_restorer

    tensors = read_state_dict(located, trust_pickle=trust_pickle)
    entry = zoo.with_hash(sha256_of(located.path)) or located.entry
    known = None if entry is None else entry.card
    card = known or ModelCard(name=located.path.stem, template="ffhq", border="reflect")
    return read_restorer(_float32(tensors), card, located.path, fidelity=fidelity)


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
        path = cached(entry)
        if path is not None:
            return Located(path, entry)
    raise WeightsError(
        "no face detector is on this machine: `gpen models fetch retinaface-resnet50` brings one, "
        "or give the path of a RetinaFace file"
    )
