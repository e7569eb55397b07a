"""Face restorers of any make, called alike: ours, those that spandrel knows, and ONNX files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import MissingPackageError, WeightsError
from ..images.resize import resize
from ..restore import FaceRestorer
from ..weights.checkpoint import read_state_dict
from ..weights.hub import locate
from ..weights.load import choose_device, load_model

#: Aligned faces (B, 3, S, S) in [0, 1] → restored ones (B, 3, T, T) in [0, 1].
Restorer = Callable[[Tensor], Tensor]


def load_restorer(source: str, *, device: str = "auto", trust_pickle: bool = False) -> Restorer:
    """A restorer of aligned faces: a model of this package (path, zoo name, Hub), a file that spandrel knows (GFPGAN,
    RestoreFormer, CodeFormer), or an .onnx of one picture in [-1, 1].

    Raises MissingPackageError where a reader is missing, WeightsError for a file that none of them knows.
    """
    if Path(source).suffix.lower() == ".onnx":
        return _onnx(Path(source))
    try:
        model = load_model(source, device=device, trust_pickle=trust_pickle)
    except WeightsError as error:
        if not Path(source).exists():
            raise
        return _spandrel(source, device, trust_pickle, error)
    restorer, size = FaceRestorer(model), model.config.in_size
    return lambda faces: restorer.run(resize(faces, size))


def _spandrel(source: str, device: str, trust_pickle: bool, ours: WeightsError) -> Restorer:
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ImportError as error:
        raise MissingPackageError(f"{ours}; other makes need spandrel: install gpen[background]") from error
    try:
        found: Any = ModelLoader().load_from_state_dict(read_state_dict(locate(source), trust_pickle=trust_pickle))
    except UnsupportedModelError as error:
        raise WeightsError(f"{ours}; spandrel does not know it either (CodeFormer: spandrel_extra_arches)") from error
    if not isinstance(found, ImageModelDescriptor) or found.purpose != "FaceSR":
        raise WeightsError(f"{source} is {found.architecture.name} ({found.purpose}), which restores no aligned faces")
    network = found.to(choose_device(device)).eval()

    def restore(faces: Tensor) -> Tensor:
        with torch.inference_mode():
            # One by one: not all of these networks keep a batch's faces apart.
            results = [network(face[None].to(network.device)).float().cpu() for face in resize(faces, 512)]
        return torch.cat(results).clamp(0, 1)

    return restore


def _onnx(path: Path) -> Restorer:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError(f"{path} needs onnxruntime; install gpen[peers]") from error
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), settings, providers=onnxruntime.get_available_providers())
    given = session.get_inputs()
    if len(given) != 1 or len(given[0].shape) != 4:
        shapes = ", ".join(f"{one.name} {one.shape}" for one in given)
        raise WeightsError(f"{path} takes {shapes}; expected one picture (1, 3, S, S)")
    size = given[0].shape[-1] if isinstance(given[0].shape[-1], int) else 512

    def restore(faces: Tensor) -> Tensor:
        inputs = (resize(faces, size) * 2 - 1).numpy()
        results = [torch.from_numpy(session.run(None, {given[0].name: face[None]})[0]) for face in inputs]
        return ((torch.cat(results) + 1) / 2).clamp(0, 1)

    return restore
