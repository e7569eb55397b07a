"""A network in the forms that other programs run: ONNX, and an AOTInductor package for C++ and Python."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..architecture import Network
from ..errors import DeviceError, MissingPackageError, WeightsError

OPSET = 20
INPUT, OUTPUT = "input", "output"
LARGEST_BATCH = 1024
_LARGEST = 2**31 - 1
_PREFIX = "network."


class _OneInput(nn.Module):
    """The network as a function of faces alone: what its seed draws stands in buffers."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self._drawn: dict[int, int] = {}
        weight = next(network.parameters())
        for resolution, planes in network.drawn_features(weight.device).items():
            self._drawn[resolution] = len(planes)
            for index, plane in enumerate(planes):
                self.register_buffer(f"noise_{resolution}_{index}", plane.to(weight.dtype))

    def forward(self, input: Tensor) -> Tensor:
        """Restored faces."""
        noise = {r: tuple(self.get_buffer(f"noise_{r}_{i}") for i in range(n)) for r, n in self._drawn.items()}
        restored: Tensor = self.network(input, noise=noise)
        return restored


def to_onnx(network: Network, path: Path, metadata: Mapping[str, str], *, half: bool = False) -> None:
    """Writes `network` to `path`: input `input` (N, 3, S, S), output `output`, float32 RGB in the card's value range.

    Any batch; weights under their own names (in float16 if `half`), metadata as in a file of weights.

    Raises MissingPackageError without onnx and onnxscript, WeightsError for what torch cannot export.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  the exporter stands on it
    except ImportError as error:
        raise MissingPackageError(f"writing ONNX needs more packages ({error}); install gpen[onnx]") from error
    with _exported(network, half=half) as (program, faces):
        batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
        try:
            made = torch.onnx.export(
                program,
                (faces,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={"input": {0: batch}},
                # Runtimes fold constants themselves; unfolded, the file holds the weights bit by bit.
                optimize=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise WeightsError(
                f"torch {torch.__version__} cannot export a network with the prior {network.config.prior}; "
                "upgrade torch, or take the model as it is"
            ) from error
    if made is None:
        raise WeightsError("torch's exporter gave no program; upgrade torch")
    model = made.model_proto
    _call_by_own_names(model)
    if not half:  # which does not give the weights back bit by bit
        _keep_what_is_unseen(model, network)
    onnx.helper.set_model_props(model, dict(metadata))
    if model.ByteSize() > _LARGEST:
        raise WeightsError(f"this network takes {model.ByteSize():,} bytes, and an ONNX file holds 2 GB; use --half")
    onnx.save_model(model, str(path))


def to_aoti(network: Network, path: Path, metadata: Mapping[str, str]) -> None:
    """Writes an AOTInductor package (.pt2) for the device that `network` is on, any batch; it needs no Python.

    Raises DeviceError where there is no C++ compiler, or it fails.
    """
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    with _exported(network) as (program, faces):
        batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
        exported = torch.export.export(program, (faces,), dynamic_shapes={"input": {0: batch}})
        try:
            aoti_compile_and_package(
                exported, package_path=str(path), inductor_configs={"aot_inductor.metadata": dict(metadata)}
            )
        except (CppCompileError, InvalidCxxCompiler) as error:
            reason = str(error).strip().splitlines()[0]
            raise DeviceError(f"an AOTInductor package needs a C++ compiler that works here ({reason})") from error


def run_package(path: Path, faces: Tensor) -> Tensor:
    """Restored faces, by a package of `to_aoti`."""
    from torch._inductor import aoti_load_package

    restored: Tensor = aoti_load_package(str(path))(faces)
    return restored


@contextmanager
def _exported(network: Network, *, half: bool = False) -> Iterator[tuple[nn.Module, Tensor]]:
    """A program to trace, and two faces to trace it with: a batch of one would be taken for a constant."""
    size = network.config.in_size
    kept = {name: parameter.dtype for name, parameter in network.named_parameters()} if half else {}
    twin = network
    if kept:
        twin = Network(network.config, network.card)
        twin.load_state_dict(network.state_dict())
        twin = twin.eval().half()
    faces = torch.zeros(2, 3, size, size, device=next(network.parameters()).device)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's parts about each other
            with twin.generator.settled():
                yield _OneInput(twin), faces
    finally:
        exporter.setLevel(level)


def _keep_what_is_unseen(model: Any, network: Network) -> None:
    """Adds the parameters that no picture depends on (smaller outputs of a grown prior), for whoever converts back."""
    import onnx

    held = {initializer.name for initializer in model.graph.initializer}
    for name, tensor in network.state_dict().items():
        if name not in held:
            model.graph.initializer.append(onnx.numpy_helper.from_array(tensor.detach().cpu().numpy(), name))


def _call_by_own_names(model: object) -> None:
    """Gives the initializers the names of the network's parameters, and takes away where each node was written: lines
    and paths of this machine, which are most of a small file."""
    graph = model.graph  # type: ignore[attr-defined]
    for initializer in graph.initializer:
        initializer.name = initializer.name.removeprefix(_PREFIX)
    for node in graph.node:
        del node.metadata_props[:]
        for index, name in enumerate(node.input):
            node.input[index] = name.removeprefix(_PREFIX)
