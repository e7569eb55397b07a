"""GPEN weights in files: read, checked, written so that they describe themselves."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..architecture import GPEN, expected_shapes
from ..config import GPENConfig, ModelCard, Task
from ..errors import WeightsError
from ..files import replacing
from .card import choose_card
from .entry import ZooEntry
from .header import Header, agreed_config, decode, encode
from .recognise import mismatch, recognise, shapes_of
from .tensors import RawFile, read_tensors

# A stored blur kernel is [1, 3, 3, 1]² over its sum, times the gain; files written in half precision are this far off.
_KERNEL_TOLERANCE = 1e-3


class Checkpoint(NamedTuple):
    """A GPEN's state dict (official names, float32, on the CPU, maybe mapped from the file), configuration and card."""

    state_dict: dict[str, Tensor]
    config: GPENConfig
    card: ModelCard


def read(
    path: Path | str,
    *,
    task: Task | None = None,
    entry: ZooEntry | None = None,
    name: str | None = None,
    trust_pickle: bool = False,
) -> Checkpoint:
    """The weights of a GPEN network, checked: complete, finite, of the recognised configuration's shapes.

    task, entry, name: where the file itself does not say what it is for (see `choose_card`); name: None takes the
    file's own. trust_pickle: see `read_tensors`.
    Raises WeightsError for anything else than a GPEN network, and names what it is.
    """
    path = Path(path)
    raw = read_tensors(path, trust_pickle=trust_pickle)
    return interpret(raw, where=str(path), task=task, entry=entry, name=path.stem if name is None else name)


def interpret(raw: RawFile, *, where: str, task: Task | None, entry: ZooEntry | None, name: str | None) -> Checkpoint:
    """The checkpoint in `raw`, checked as `read` says; where: the file's name, for messages."""
    header = decode(raw.metadata, where)
    found = recognise(shapes_of(raw.tensors), where)
    config = agreed_config(header.config, found, where)
    tensors = _complete(raw.tensors, config, where)
    card = choose_card(config, where=where, stated=header.card, task=task, entry=entry, name=name)
    if header.sha256 is not None:
        card = replace(card, details={**card.details, "sha256": header.sha256})
    return Checkpoint(tensors, config, card)


def write(path: Path | str, state_dict: Mapping[str, Tensor], config: GPENConfig, card: ModelCard | None) -> str:
    """The tensors' hash, after writing a self-describing safetensors file, whole or not at all.

    card: None leaves it to whoever reads the file. Tensors keep their float type.
    Raises WeightsError when the tensors do not fit the configuration, are not finite, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise WeightsError(f"{path} must end in .safetensors: that is the one format written")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    _complete(tensors, config, "the state dict")
    sha256 = tensors_sha256(tensors)
    if card is not None:
        card = replace(card, details={key: value for key, value in card.details.items() if key != "sha256"})
    save_tensors(path, tensors, encode(Header(config, card, sha256)))
    return sha256


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file under a temporary name and renames it. Raises WeightsError, and leaves nothing."""
    try:
        with replacing(path, unique=True) as temporary:
            save_file(dict(tensors), temporary, metadata=dict(metadata))
    except (OSError, SafetensorError) as error:
        megabytes = sum(t.numel() * t.element_size() for t in tensors.values()) / 1e6
        raise WeightsError(
            f"cannot write {path} ({megabytes:.0f} MB): {error}; free some space or choose another folder"
        ) from error


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """The hash of names, types, shapes and values: the same for the same weights in any file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        data = tensor.reshape(-1).view(torch.uint8)
        if sys.byteorder == "big":
            data = data.reshape(-1, tensor.element_size()).flip(1).reshape(-1).contiguous()
        digest.update(data.numpy().data)
    return digest.hexdigest()


def is_finite(tensor: Tensor) -> bool:
    """Whether no value is NaN or infinite. One pass; only sums that overflow take another."""
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def _complete(tensors: Mapping[str, Tensor], config: GPENConfig, where: str) -> dict[str, Tensor]:
    """All tensors of the configuration in float32, absent buffers filled in. Raises WeightsError."""
    constants = _constant_buffers(config)
    problem = mismatch(shapes_of(tensors), expected_shapes(config), optional=frozenset(constants))
    if problem is not None:
        raise WeightsError(f"{where} does not fit the configuration that its shapes tell ({_brief(config)}): {problem}")
    complete: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise WeightsError(f"{name} in {where} is {tensor.dtype}; weights must be float tensors")
        if not is_finite(tensor):
            raise WeightsError(f"{name} in {where} holds NaN or infinite values; get or train the weights anew")
        complete[name] = tensor.to(torch.float32)
    for name, expected in constants.items():
        stored = complete.setdefault(name, expected)
        if stored is not expected and not torch.allclose(stored, expected, rtol=0, atol=_KERNEL_TOLERANCE):
            raise WeightsError(
                f"the blur kernel {name} in {where} is not the one of GPEN ([1, 3, 3, 1]²): another network's weights"
            )
    return complete


def _constant_buffers(config: GPENConfig) -> dict[str, Tensor]:
    """The buffers that every network of these sizes and this prior shares: read off one that is a channel wide."""
    thin = replace(config, channels=dict.fromkeys(config.resolutions, 1), style_dim=1, n_mlp=0)
    return {name: buffer.clone() for name, buffer in GPEN(thin, generator=torch.Generator()).named_buffers()}


def _brief(config: GPENConfig) -> str:
    size = f"{config.in_size}" if config.in_size == config.out_size else f"{config.in_size} → {config.out_size}"
    channels = "/".join(str(count) for count in config.channels.values())
    return f"{config.prior}, {size} px, channels {channels}, style {config.style_dim}, {config.n_mlp} mapping layers"
