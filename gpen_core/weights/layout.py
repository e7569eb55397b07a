"""Tensors as a safetensors file, written into a file that the caller holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Fills the file `path`; its bytes are held meanwhile.

    safetensors' own `save_file` makes a file beside the one it is given and renames that: readable by its owner alone,
    unknown to whoever cleans up after a kill, and past every lock of the first. Raises OSError where it cannot be
    written.
    """
    path.write_bytes(save(dict(tensors), None if metadata is None else dict(metadata)))
