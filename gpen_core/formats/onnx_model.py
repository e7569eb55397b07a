"""Restorers in ONNX files, through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..architecture import Network
from ..config import ModelCard
from ..contracts import Sizes
from ..errors import DeviceError, InputError, MissingPackageError, WeightsError, installing

#: In the order in which they are taken where several are installed. TensorRT and OpenVINO first compile for minutes
#: or round more than others: they are taken only where they are asked for.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "rocm": "MIGraphXExecutionProvider",
    "cpu": "CPUExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
#: How far apart two results of one face may be, in proportion to the largest.
_SAME = 1e-3
_UNASKED = ("tensorrt", "openvino")
_FLOATS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class FaceSizes(NamedTuple):
    """What a file says of its faces."""

    in_size: int
    out_size: int


class OnnxModel(nn.Module):
    """A face restorer that ONNX Runtime runs; called like any other (see `contracts.Model`), one face at a time."""

    def __init__(self, session: Any, sizes: Sizes, card: ModelCard, file: Path) -> None:
        super().__init__()  # a module without weights of its own: hosts that move and count modules take it as one
        self.session = session
        self.config = sizes
        self.card = card
        self.file = file
        self._input = session.get_inputs()[0]
        self._output = session.get_outputs()[0].name

    @property
    def device(self) -> torch.device:
        """Where faces are given and come back; the provider moves them by itself."""
        return torch.device("cpu")

    @property
    def providers(self) -> list[str]:
        """What ONNX Runtime computes with, the first before the others."""
        names: list[str] = self.session.get_providers()
        return names

    @property
    def precision(self) -> str:
        """Of the faces that the file takes; its weights may be in another."""
        return "fp16" if self._input.type == "tensor(float16)" else "fp32"

    @property
    def form(self) -> str:
        """`onnx` and the provider."""
        return f"onnx {self.providers[0].removesuffix('ExecutionProvider')}"

    def forward(self, faces: Tensor) -> Tensor:
        """Restored faces (B, 3, out_size, out_size), float32, not clamped, in the card's value range.

        faces: (B, 3, in_size, in_size) RGB in the card's value range. Raises InputError for any other shape.
        """
        size = self.config.in_size
        if faces.ndim != 4 or faces.shape[1:] != (3, size, size) or not len(faces) or not faces.is_floating_point():
            raise InputError(
                f"the model takes float faces (B, 3, {size}, {size}), got {tuple(faces.shape)} of {faces.dtype}"
            )
        given = faces.detach().cpu().numpy().astype(_FLOATS[self._input.type])
        # One at a time: a face's result must not depend on its batch-mates, and some files take no more.
        results = [self.session.run([self._output], {self._input.name: given[i : i + 1]})[0] for i in range(len(given))]
        return torch.from_numpy(np.concatenate(results).astype(np.float32))


def open_session(path: Path, providers: Sequence[str] | None = None) -> Any:
    """An ONNX Runtime session over the file, which need not be a restorer.

    providers: names of `PROVIDERS`, or ONNX Runtime's own; None: the best that is installed.
    Raises MissingPackageError without onnxruntime, DeviceError for a provider that is not there, WeightsError for a
    file that cannot be run.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            f"{path} needs ONNX Runtime ({error}); install gpen[onnx], or {installing('onnxruntime')}"
        ) from error
    chosen = _chosen(onnxruntime.get_available_providers(), providers)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=chosen)
    except _failures(onnxruntime) as error:
        raise WeightsError(_explained(path, str(error), onnxruntime.__version__)) from error
    missing = [name for name in chosen if name not in session.get_providers()]
    if missing and providers is not None:
        raise DeviceError(
            f"{missing[0]} does not load here (its libraries are missing or of another version); "
            "install them, or leave it out"
        )
    return session


def installed() -> list[str]:
    """Names of the providers that are installed and taken unasked, the best first. Raises MissingPackageError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(
            f"running ONNX needs ONNX Runtime ({error}); install gpen[onnx], or {installing('onnxruntime')}"
        ) from error
    return _chosen(onnxruntime.get_available_providers(), None)


def sizes_of(session: Any, path: Path) -> FaceSizes:
    """Sides of the faces that a session takes and gives. Raises WeightsError where it is no face restorer."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        names = ", ".join(f"{i.name[:40]} {i.shape}" for i in inputs[:4])
        raise WeightsError(f"{path} has {len(inputs)} inputs ({names}); a face restorer has one: a swapper, perhaps")
    shape, given = inputs[0].shape, outputs[0].shape
    if inputs[0].type not in _FLOATS:
        raise WeightsError(
            f"{path} takes {inputs[0].type}, not float pictures: quantized, or of another kind; get the float form"
        )
    if len(shape) != 4 or shape[1] != 3:
        raise WeightsError(f"{path} takes {shape}, not pictures (N, 3, S, S): it is no face restorer")
    if not all(isinstance(side, int) for side in shape[2:]):
        raise WeightsError(
            f"{path} takes pictures of any size ({shape}); a face restorer is exported with its one size"
        )
    if shape[2] != shape[3] or (isinstance(shape[0], int) and shape[0] != 1):
        raise WeightsError(f"{path} takes {shape}; expected square pictures, one at a time or any number")
    if len(given) != 4 or given[1] != 3 or outputs[0].type not in _FLOATS:
        raise WeightsError(f"{path} gives {given} of {outputs[0].type}, not pictures: a detector or another network")
    out = given[2] if isinstance(given[2], int) else _tried(session, shape[2])
    return FaceSizes(int(shape[2]), int(out))


def check_by_running(path: Path, network: Network) -> None:
    """Raises WeightsError where the file does not give what `network` gives of the same face."""
    session = open_session(path, ["cpu"])
    size = sizes_of(session, path).in_size
    face = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = network(face)
    found: Tensor = OnnxModel(session, network.config, network.card, path)(face)
    error = float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))
    if found.shape != expected.shape or not error <= _SAME:
        raise WeightsError(
            f"the weights in {path} do not give what the file itself gives (they differ by {error:.2g}): its "
            "layers are in another order, or another network's; it may be run, not converted"
        )


def summary(path: Path) -> str:
    """What an ONNX file takes and gives, and who wrote it, in one line; whether or not it restores faces."""
    session = open_session(path, ["cpu"])
    takes, gives = (
        ", ".join(f"{part.name[:40]} {part.shape} {part.type}" for part in parts[:4])
        for parts in (session.get_inputs(), session.get_outputs())
    )
    return f"ONNX by {session.get_modelmeta().producer_name or 'an unnamed program'}; takes {takes}; gives {gives}"


def metadata_of(session: Any) -> Mapping[str, str]:
    """What stands in the file beside the graph."""
    found: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    return found


def _tried(session: Any, size: int) -> int:
    entry = session.get_inputs()[0]
    face = np.zeros((1, 3, size, size), _FLOATS[entry.type])
    return int(session.run(None, {entry.name: face})[0].shape[-1])


def _chosen(installed: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    if asked is None:
        return [name for key, name in PROVIDERS.items() if name in installed and key not in _UNASKED]
    chosen = list(dict.fromkeys(PROVIDERS.get(name.lower(), name) for name in asked))
    absent = [name for name in chosen if name not in installed]
    if absent:
        there = ", ".join(key for key, name in PROVIDERS.items() if name in installed)
        raise DeviceError(f"ONNX Runtime has no {absent[0]} here; it has {there}: install the package that brings it")
    return chosen


def _failures(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """What opening a file raises: the runtime's own errors have no common ancestor but Exception."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    names = "Fail InvalidArgument NoSuchFile NoModel EngineError RuntimeException InvalidProtobuf ModelLoaded "
    names += "NotImplemented InvalidGraph EPFail"
    own = tuple(getattr(state, name) for name in names.split() if hasattr(state, name))
    return (*own, RuntimeError, ValueError, OSError)


def _explained(path: Path, message: str, version: str) -> str:
    """One line on why the file cannot be run, with the remedy."""
    first = message.strip().splitlines()[0][:200] if message.strip() else "no reason given"
    lower = message.lower()
    if "external data" in lower or "external initializer" in lower or "model_path must not be empty" in lower:
        return f"{path} keeps its weights in a file beside it that is missing or damaged; get that one, too ({first})"
    if (
        ("opset" in lower and ("support" in lower or "guarantee" in lower))
        or "ir version" in lower
        or "ir_version" in lower
    ):
        return f"{path} is written for a newer ONNX Runtime than {version}; upgrade onnxruntime ({first})"
    return f"{path} is damaged or cannot be run by ONNX Runtime {version} ({first}); get it again"
