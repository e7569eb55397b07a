"""Parameters and moments divided among processes (FSDP2), for networks too large for one device.

torch's `fully_shard` keeps each process its share of every parameter, and puts whole ones in their place for a turn.
Its own hooks reduce gradients after one forward and one backward pass; R1 and the path length differentiate twice, and
the generator's pass serves two turns. So gradients stay with the whole parameters until a turn is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ..errors import MissingPackageError
from .gradients import Gradients

if TYPE_CHECKING:
    from .optimise import Processes


class ShardedGradients:
    """Those of `network`, which is divided from now on; all processes take the same turns. As `Gradients` has it."""

    def __init__(self, network: nn.Module, processes: Processes, device: torch.device) -> None:
        try:
            from torch.distributed.fsdp import fully_shard
        except ImportError as error:
            raise MissingPackageError(
                "run.shard needs torch 2.6 or later; update it, or set run.shard = false"
            ) from error
        from torch.distributed.device_mesh import init_device_mesh

        mesh = init_device_mesh(device.type, (processes.num_processes,))
        self._network = cast(Any, fully_shard(network, mesh=mesh, reshard_after_forward=False))
        self._network.set_requires_gradient_sync(False)
        self._network.set_reshard_after_backward(False)
        self.gather()
        # The whole parameters are the same objects at every turn.
        self._whole = Gradients(list(network.parameters()), processes)
        self.release()

    def gather(self) -> None:
        """Puts whole parameters in place, for the turns that follow."""
        self._network.unshard()

    def release(self) -> None:
        """Leaves each process its share."""
        self._network.reshard()

    def expect(self, *, last: bool) -> None:
        """Said before a backward pass. last: whether it is the last before `average`."""
        self._whole.expect(last=last)

    def average(self) -> None:
        """Leaves each process its share of every parameter, with that of the mean gradient over all processes."""
        self._whole.average()
        gradients = {}
        for name, parameter in self._network.named_parameters():
            gradients[name], parameter.grad = parameter.grad, None
        self.release()
        for name, parameter in self._network.named_parameters():
            gradient = gradients.pop(name)
            if gradient is not None:
                parameter.grad = divided_like(gradient, parameter)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on every process; one that is not divided as it is. All processes ask together."""
    return cast(Any, tensor).full_tensor() if _is_divided(tensor) else tensor


def divided_like(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's share of `tensor`, which all have, divided as `like` is; all of it where that is not divided."""
    if not _is_divided(like) or not tensor.ndim:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    divided = cast(Any, like)
    return distribute_tensor(tensor.to(like.device), divided.device_mesh, divided.placements, src_data_rank=None)


def load_whole(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Puts whole tensors into a network that may be divided."""
    there = network.state_dict()
    network.load_state_dict({name: divided_like(t, there.get(name, t)) for name, t in tensors.items()})


def _is_divided(tensor: Tensor) -> bool:
    return hasattr(tensor, "full_tensor")
