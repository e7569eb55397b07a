"""facexlib's network classes, brought in when first used, with a word about what is amiss where they do not load."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from ..errors import DeviceError, MissingPackageError, WeightsError, installing


def library_class(module: str, name: str) -> Any:
    """The class `name` of a module of facexlib (or torchvision).

    Raises MissingPackageError where a package is missing, DeviceError where one is there but its compiled part does
    not load (OpenCV without libGL, torchvision built for another torch).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # facexlib and torchvision warn of their own old habits
            return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        missing = (error.name or module).split(".")[0]
        raise MissingPackageError(
            f"{module} needs the package {missing!r}, which is not installed: {installing(missing)} brings it"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(
            f"{module} is installed but does not load ({_first_line(error)}): "
            f"{installing('--upgrade facexlib torch torchvision opencv-python-headless')} brings what fits together"
        ) from error


class _WithoutInitialisation(TorchFunctionMode):
    """Random draws do nothing inside: on the meta device they draw nothing, but make torch load its compiler."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in ("uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_"):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def build(what: str, make: Callable[[], nn.Module], state_dict: Mapping[str, Tensor]) -> nn.Module:
    """The module that `make` gives, with the tensors of `state_dict`, in evaluation mode and without gradients.

    It is made without storage, so that nothing is initialised and no random number drawn. Raises WeightsError, naming
    missing and unexpected keys, where the tensors do not fit.
    """
    state = {key.removeprefix("module."): value for key, value in state_dict.items()}
    with torch.device("meta"), _WithoutInitialisation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = make()
    expected = network.state_dict()
    missing, unexpected = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unexpected:
        raise WeightsError(
            f"the weights are not {what}'s: missing {_listed(missing)}; unexpected {_listed(unexpected)}"
        )
    for key, value in expected.items():
        if value.shape != state[key].shape:
            raise WeightsError(
                f"the weights are not {what}'s: {key} has shape {tuple(state[key].shape)}, "
                f"expected {tuple(value.shape)}"
            )
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """The same network for inference: in every `nn.Sequential`, a batch norm goes into the convolution before it.

    Its outputs change by rounding only; its state dict has no longer the names it was built with.
    """
    for block in network.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for index in range(len(block) - 1):
            first, second = block[index], block[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[index], block[index + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return network.requires_grad_(False)


class _Pointwise(nn.Module):
    """A 1×1 convolution as a matrix product, whose bits do not depend on how many cores compute it."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(convolution.weight.flatten(1), requires_grad=False), convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


def with_products(network: nn.Module) -> nn.Module:
    """The same network with its 1×1 convolutions as matrix products; for inputs in the layout `channels_last`.

    As convolutions they give other bits on one core than on two, and with the landmarks every pixel of a face changes.
    """
    for block in list(network.modules()):
        for name, child in block.named_children():
            if isinstance(child, nn.Conv2d) and child.kernel_size == child.stride == (1, 1) and child.groups == 1:
                setattr(block, name, _Pointwise(child))
    return network


def _listed(keys: list[str]) -> str:
    return "nothing" if not keys else ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
