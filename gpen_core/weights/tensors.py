"""Tensors out of a file, safely, whatever wraps them; into a file, whole or not at all."""

from __future__ import annotations

import hashlib
import pickle
import re
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from ..errors import UnsafeFileError, WeightsError
from ..files import replacing
from . import zoo
from .cache import sha256_of
from .description import UNREADABLE, damaged
from .entry import ONNX, PICKLES, SUFFIXES
from .layout import write_safetensors

# In the order in which they are looked for: averaged weights before the last ones.
WRAPPERS = ("g_ema", "generator_smooth", "params_ema", "params", "state_dict", "generator")
_PREFIXES = ("module.", "_orig_mod.")
# Below it weights_only can be got round (CVE-2025-32434).
_SAFE_TORCH = (2, 6)
# What torch's reader raises on damaged files (found by flipping bytes of good ones).
_DAMAGED = (
    RuntimeError,
    EOFError,
    ImportError,
    LookupError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    MemoryError,
    TypeError,
    ValueError,
    OSError,
    struct.error,
    zipfile.BadZipFile,
)
# What weights are made of; counters and masks beside them.
_DTYPES = frozenset((torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.bool))
# The part of a checkpoint that is no tensor: names, and what an optimiser remembers of them.
_LARGEST_PICKLE = 64 << 20
_WRAPPED_AT_MOST = 8
_LONGEST_NAME = 500


class RawFile(NamedTuple):
    """State dict and safetensors metadata (empty for pickles) of a file."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def is_pickle(path: Path) -> bool:
    """Whether the file's name says that it holds a pickle."""
    return path.suffix.lower() in PICKLES


def read_tensors(path: Path, *, part: str | None = None, trust_pickle: bool = False) -> RawFile:
    """What the file holds, in its own types, without wrappers and prefixes.

    Every tensor is dense, contiguous, on the CPU, and has memory of its own: the file may be overwritten at once.
    part: the wrapper's key to open (`d`, `g_ema`, …); None: the first of `WRAPPERS`, or the file itself.
    trust_pickle: read a pickle of unknown content with a torch below 2.6 too.
    Raises WeightsError (UnsafeFileError) for a file that is not there, cut short, of another kind, or unsafe.
    """
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    suffix = path.suffix.lower()
    if suffix == ".pkl":
        raise WeightsError(
            f"{path} is a pickle of NVIDIA's own classes, which opening it would run; write its state dict with"
            " convert_weight.py of rosinality/stylegan2-pytorch (StyleGAN2) or convert_model.py of genforce/genforce"
            " (StyleGAN, PGGAN), and give that file"
        )
    if suffix not in (*SUFFIXES, ONNX):
        raise WeightsError(f"{path} is not a file of weights that can be read; they end in {', '.join(SUFFIXES)}")
    _refuse_impostors(path)
    if suffix == ONNX:
        from ..formats.onnx_weights import read_onnx

        return RawFile(*read_onnx(path))
    if suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                mapped = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return RawFile(_owned(mapped, path), file.metadata() or {})
        except UNREADABLE as error:
            raise damaged(path, error) from error
    return RawFile(_owned(_unwrap(_load_pickle(path, trust_pickle), path, part), path), {})


def _owned(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Copies in memory of their own. Raises WeightsError, before any value is looked at, for what cannot be weights:
    other kinds of tensors, or more of them than the file has bytes for (views that repeat what they share).
    """
    for name, tensor in tensors.items():
        if not name.isprintable() or len(name) > _LONGEST_NAME or name == "__metadata__":
            raise WeightsError(f"{path} holds a tensor whose name is no text; get the file again")
        plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"
        if not plain or tensor.layout is not torch.strided or tensor.is_nested or tensor.dtype not in _DTYPES:
            kind = f"{tensor.dtype}".removeprefix("torch.") + f", {tensor.layout}, on {tensor.device}"
            raise WeightsError(
                f"{name} in {path} is no plain tensor ({kind}); save the weights as float32, float16 or bfloat16"
            )
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > 2 * path.stat().st_size:
        raise WeightsError(
            f"the tensors of {path} claim {claimed:,} bytes, and it has {path.stat().st_size:,}; get it again"
        )
    # As large as they say, then, and no larger than the file.
    return {
        name: tensor.detach().resolve_neg().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file under a temporary name and renames it. Raises WeightsError, and leaves nothing."""
    try:
        with replacing(path) as temporary:
            write_safetensors(temporary, tensors, metadata)
    except OSError as error:
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


def _refuse_impostors(path: Path) -> None:
    """Downloads that went wrong are usually recognised by their first bytes."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise WeightsError(f"{path} is empty; get it again")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(f"{path} is a web page, not weights; download the file itself, not the page that shows it")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer, not weights; run `git lfs pull`, or download the file itself")


def _load_pickle(path: Path, trust: bool) -> object:
    release = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if release < _SAFE_TORCH and not trust and zoo.with_hash(sha256_of(path)) is None:
        raise UnsafeFileError(
            f"{path} is a pickle of unknown content, and torch {torch.__version__} can be tricked by one: "
            "upgrade torch to 2.6, use a .safetensors file, or insist with trust_pickle (--trust-pickle)"
        )
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    try:
        if zipped:
            _check_zip(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:nsupported (?:global: )?GLOBAL|nsupported class) ([\w.]+)", str(error))
        if found:
            raise UnsafeFileError(
                f"{path} holds more than tensors ({found.group(1)}), which opening it could run: "
                "get a .safetensors file, or save its state dict alone where you trust it"
            ) from error
        raise WeightsError(f"{path} is damaged or no file of weights; get it again") from error
    except _DAMAGED as error:
        raise WeightsError(f"{path} is cut short, damaged or no file of weights; get it again") from error


def _check_zip(path: Path) -> None:
    """Raises WeightsError for a zip file that torch has not written so; BadZipFile for a damaged one."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise WeightsError(f"{path} is a compressed archive; take the file of weights out of it, or get it again")
    size = path.stat().st_size
    pickled = sum(record.file_size for record in records if record.filename.endswith(".pkl"))
    if sum(record.file_size for record in records) > size or pickled > _LARGEST_PICKLE:
        raise WeightsError(f"{path} holds more than tensors, or is damaged; get it again")


def _unwrap(held: object, path: Path, part: str | None) -> dict[str, Tensor]:
    if not isinstance(held, Mapping):
        raise WeightsError(f"{path} holds a {type(held).__name__}; expected a state dict (names → tensors)")
    if part is not None:
        inner = held.get(part)
        if not isinstance(inner, Mapping):
            raise WeightsError(f"{path} holds no {part!r}; it holds {_keys(held)}")
        held = inner
    held = _innermost(held)
    if not held or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in held.items()):
        raise WeightsError(f"{path} holds no state dict under {', '.join(WRAPPERS)}; it holds {_keys(held)}")
    tensors = dict(held)
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _innermost(held: Mapping[Any, Any]) -> Mapping[Any, Any]:
    for _ in range(_WRAPPED_AT_MOST):  # a damaged file may wrap itself
        inner = next((held[wrapper] for wrapper in WRAPPERS if isinstance(held.get(wrapper), Mapping)), None)
        if inner is None:
            break
        held = inner
    return held


def _keys(held: Mapping[Any, Any]) -> str:
    keys = [key[:60] if isinstance(key, str) else f"a {type(key).__name__}" for key in held]
    return ", ".join(keys[:6]) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "") if keys else "nothing"
