"""Tensors as bytes: what a safetensors file holds, written straight to a file that the caller has opened.

safetensors' own writer makes a file beside the one it is given and renames that: readable by its owner alone, unknown
to whoever cleans up after a kill, and past every lock of the first.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

# In safetensors' order: what is to be aligned most comes first in a file.
_DTYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ORDER = {dtype: place for place, dtype in enumerate(_DTYPES)}
_ALIGNED = 8


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Fills the file `path`, byte for byte as safetensors would; a tensor at a time is copied, whatever there are.

    Raises OSError where it cannot be written.
    """
    names = sorted(tensors, key=lambda name: (_ORDER[tensors[name].dtype], name))
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        begin, end = end, end + tensors[name].nbytes
        shape = list(tensors[name].shape)
        header[name] = {"dtype": _DTYPES[tensors[name].dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(little_endian(tensors[name]))


def little_endian(tensor: Tensor) -> memoryview:
    """The tensor's values in order, as a file holds them."""
    tensor = tensor.detach().cpu().contiguous()
    data = tensor.reshape(-1).view(torch.uint8)
    if sys.byteorder == "big":
        data = data.reshape(-1, tensor.element_size()).flip(1).reshape(-1).contiguous()
    return data.numpy().data
