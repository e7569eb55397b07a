"""GPEN as an architecture of spandrel, so that programs which load models through it (ComfyUI, chaiNNer) read GPEN
files: the official ones and those written here, known by their tensors' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from spandrel import MAIN_REGISTRY, Architecture, ArchSupport, ImageModelDescriptor, ModelTiling, SizeRequirements
from spandrel.util import KeyCondition
from torch import Tensor

from ..architecture import Network, config_from_shapes
from ..errors import WeightsError

ID = "GPEN"
#: What only a GPEN has together: a prior under `generator.` and an encoder whose first block has no blur.
_KEYS = ("generator.input.input", "generator.conv1.conv.weight", "ecd0.0.0.weight", "final_linear.0.weight")


class GPENArch(Architecture[Network]):  # type: ignore[misc]
    """Detects and loads GPEN networks of every size."""

    def __init__(self) -> None:
        super().__init__(id=ID, detect=KeyCondition.has_all(*_KEYS))

    def load(self, state_dict: Mapping[str, Tensor]) -> ImageModelDescriptor:
        """A descriptor of purpose FaceSR: a picture (1, 3, S, S) in [0, 1] is one straightened face.

        One of another size is resized to S and its result back. Faces are taken as restoration has them, in [-1, 1]:
        tensors do not tell another range. Raises WeightsError where the tensors fit no configuration.
        """
        config = config_from_shapes({name: tuple(tensor.shape) for name, tensor in state_dict.items()})
        if config is None:
            raise WeightsError("the tensors look like a GPEN network but fit no configuration; get the file again")
        network = Network(config)
        constants = dict(network.named_buffers())  # blur kernels, which some files leave out
        scale = config.out_size // config.in_size
        return ImageModelDescriptor(
            network,
            {**constants, **state_dict},
            architecture=self,
            purpose="FaceSR",
            tags=[f"{config.in_size}px"],
            supports_half=False,
            supports_bfloat16=True,
            scale=scale,
            input_channels=3,
            output_channels=3,
            size_requirements=SizeRequirements(square=True),
            tiling=ModelTiling.DISCOURAGED,
            call_fn=_restored,
        )


def _restored(network: Network, picture: Tensor) -> Tensor:
    size, scale = network.config.in_size, network.config.out_size // network.config.in_size
    given = tuple(picture.shape[-2:])
    face = picture if given == (size, size) else _resized(picture, (size, size))
    restored = ((network(face * 2 - 1) + 1) / 2).to(picture.dtype)
    return restored if given == (size, size) else _resized(restored, (given[0] * scale, given[1] * scale))


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    resized: Tensor = F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized


def install() -> list[Any]:
    """What was added to spandrel's own registry: nothing where it is there already."""
    return list(MAIN_REGISTRY.add(ArchSupport.from_architecture(GPENArch()), ignore_duplicates=True))
