"""Checkpoints: a folder of safetensors parts and one JSON file, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import TrainingError

STATE = "state.json"
_PIECE = "#"
_HEADER_BYTES = 512


def write_checkpoint(
    folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], *, part_bytes: int = 0
) -> None:
    """Writes `folder` in one move: a crash or a full disk leaves what was there before.

    state: JSON values. part_bytes: largest part (a tensor that is larger is cut); 0: one part.
    Raises TrainingError when it cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        parts = list(_parts(tensors, part_bytes))
        for number, part in enumerate(parts, 1):
            path = temporary / f"part-{number:04d}-of-{len(parts):04d}.safetensors"
            save_file(part, path)
            _flush(path)
        shapes = {name: list(t.shape) for name, t in tensors.items()}
        (temporary / STATE).write_text(json.dumps({"state": state, "shapes": shapes}), encoding="utf-8")
        _flush(temporary / STATE)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
        _flush(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainingError(
            f"the checkpoint {folder} cannot be written ({error});"
            " the one before it is whole: make room and run the same command again"
        ) from error


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors on the CPU, state). Raises TrainingError when files are missing or damaged."""
    try:
        record = json.loads((folder / STATE).read_text(encoding="utf-8"))
        pieces: dict[str, list[Tensor]] = {}
        for path in sorted(folder.glob("part-*.safetensors")):
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118 - a safetensors handle is no mapping
                    name, _, number = key.partition(_PIECE)
                    place = pieces.setdefault(name, [])
                    place.extend([torch.empty(0)] * (int(number or 0) + 1 - len(place)))
                    place[int(number or 0)] = file.get_tensor(key)
        tensors = {
            name: (
                torch.cat([p.flatten() for p in pieces[name]]) if len(pieces[name]) > 1 else pieces[name][0]
            ).reshape(shape)
            for name, shape in record["shapes"].items()
        }
        return tensors, record["state"]
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"the checkpoint {folder} is damaged ({error}); remove it to go on from the one before"
        ) from error


def list_checkpoints(root: Path) -> list[Path]:
    """Whole checkpoints under `root`, oldest first; their names are the images seen."""
    return sorted(p for p in root.glob("[0-9]*") if (p / STATE).is_file())


def prune_checkpoints(root: Path, keep: int) -> None:
    """Removes all but the last `keep`, and what an interrupted writer left."""
    for old in [*list_checkpoints(root)[:-keep], *root.glob(".*.writing")]:
        shutil.rmtree(old, ignore_errors=True)


def copy_checkpoint(source: Path, target: Path) -> None:
    """`target` as the same files under a second name, where the file system can; whole or not at all."""
    temporary = target.with_name(f".{target.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        shutil.copytree(source, temporary, copy_function=os.link)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)


def _parts(tensors: Mapping[str, Tensor], part_bytes: int) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    used = 0
    for name, tensor in tensors.items():
        whole = tensor.detach().cpu().contiguous()
        room = part_bytes - _HEADER_BYTES if part_bytes else 0
        pieces = [whole]
        if room and whole.nbytes > room:
            pieces = list(torch.split(whole.flatten(), max(1, room // whole.itemsize)))
        for number, piece in enumerate(pieces):
            cost = piece.nbytes + _HEADER_BYTES
            if part and part_bytes and used + cost > part_bytes:
                yield part
                part, used = {}, 0
            part[f"{name}{_PIECE}{number}" if len(pieces) > 1 else name] = piece.clone() if len(pieces) > 1 else piece
            used += cost
    yield part


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
