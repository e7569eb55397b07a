"""Face restorers of others, by spandrel's architectures: GFPGAN, CodeFormer, RestoreFormer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..architecture.gpen import check_input
from ..config import ModelCard
from ..errors import InputError, MissingPackageError, WeightsError, installing
from .onnx_model import FaceSizes

SIZE = 512
FIDELITY = 0.5
"""CodeFormer's own default: between 0, the most beautiful, and 1, the most faithful."""

#: Names that only CodeFormer has, the one that spandrel keeps apart for its licence.
_CODEFORMER = "ft_layers."

# Called with (network, face in [-1, 1], fidelity). Noise is each network's stored one: the same face, the same result.
_CALLS: dict[str, Callable[[Any, Tensor, float], Tensor]] = {
    "GFPGAN": lambda network, face, _: network(face, return_rgb=False, randomize_noise=False)[0],
    "CodeFormer": lambda network, face, fidelity: network(face, weight=fidelity)[0],
    "RestoreFormer": lambda network, face, _: network(face)[0],
}


class OtherRestorer(nn.Module):
    """A face restorer of another architecture, called like any model (see `contracts.Model`); faces in [-1, 1]."""

    def __init__(self, network: nn.Module, architecture: str, card: ModelCard, file: Path, fidelity: float) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.architecture = architecture
        self.config = FaceSizes(SIZE, SIZE)
        self.card = card
        self.file = file
        self.fidelity = fidelity

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def precision(self) -> str:
        """These networks compute in float32."""
        return "fp32"

    @property
    def form(self) -> str:
        """`spandrel` and the architecture."""
        return f"spandrel {self.architecture}"

    @torch.no_grad()
    def forward(self, faces: Tensor) -> Tensor:
        """Restored faces (B, 3, 512, 512), float32, not clamped, from `faces` (B, 3, 512, 512) RGB in [-1, 1]."""
        check_input(faces, SIZE, self.device)
        call = _CALLS[self.architecture]
        # One at a time: what a batch shares in these networks is not promised to leave a face as it is.
        return torch.cat([call(self.network, face[None].float(), self.fidelity).float() for face in faces])


def read_restorer(
    tensors: Mapping[str, Tensor], card: ModelCard, file: Path, *, fidelity: float | None = None
) -> OtherRestorer:
    """The restorer that a state dict belongs to. fidelity: CodeFormer's weight, 0 to 1 (None: 0.5); others have none.

    Raises MissingPackageError without spandrel, or for CodeFormer without spandrel's extra architectures, WeightsError
    for what its architectures do not know.
    """
    try:
        from spandrel import MAIN_REGISTRY, ArchRegistry, ModelLoader, UnsupportedModelError

        registries = [MAIN_REGISTRY]
        if any(name.startswith(_CODEFORMER) for name in tensors):
            from spandrel_extra_arches import EXTRA_REGISTRY

            registries.append(EXTRA_REGISTRY)
    except ImportError as error:
        needed = error.name or "spandrel"
        raise MissingPackageError(
            f"{file} is run by {needed}, which is missing; install gpen[restorers], or {installing(needed)}"
        ) from error
    registry = ArchRegistry()
    wanted = [arch for known in registries for arch in known if arch.architecture.id in _CALLS]
    registry.add(*wanted, ignore_duplicates=True)  # ComfyUI puts the extra ones among the others
    inner = {name.removeprefix("vqvae."): t for name, t in tensors.items() if name.startswith("vqvae.")}
    try:
        found = ModelLoader(registry=registry).load_from_state_dict(inner or dict(tensors))
    except (UnsupportedModelError, RuntimeError, LookupError, ValueError, ArithmeticError) as error:
        first = str(error).strip().splitlines()
        raise WeightsError(
            f"{file} is no face restorer that spandrel knows ({first[0][:160] if first else type(error).__name__})"
        ) from error
    architecture = str(found.architecture.id)
    if fidelity is not None and architecture != "CodeFormer":
        raise InputError(f"fidelity is CodeFormer's; {file.name} is {architecture}, leave it out")
    chosen = FIDELITY if fidelity is None else fidelity
    if not 0 <= chosen <= 1:
        raise InputError(f"fidelity is {chosen}; it must lie between 0 and 1")
    return OtherRestorer(found.model, architecture, card, file, chosen)
