"""Checkpoints: a folder of safetensors parts and one JSON file, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, distributed

from ..errors import TrainingError
from ..files import replacing
from ..weights.layout import write_safetensors

STATE = "state.json"
_PIECE = "#"
# Between two versions of a folder the names of the parts alternate, so that both are there for a moment.
_SECOND, _SUFFIX = "-b", ".safetensors"
_HEADER_BYTES = 512


def write_checkpoint(
    folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any], *, part_bytes: int = 0
) -> None:
    """Makes `folder` hold this and nothing else, in one move: a crash or a full disk leaves what was there before.

    state: JSON values. part_bytes: largest part (a tensor that is larger is cut); 0: one part.
    Raises TrainingError when it cannot be written.
    """
    parts = list(_parts(tensors, part_bytes))
    shapes = {name: list(t.shape) for name, t in tensors.items()}
    with _replacing_parts(folder) as mark:
        names = [f"part-{n:04d}-of-{len(parts):04d}{mark}{_SUFFIX}" for n in range(1, len(parts) + 1)]
        for name, part in zip(names, parts, strict=True):
            write_safetensors(folder / name, part)
            _flush(folder / name)
        _commit(folder, {"state": state, "shapes": shapes, "parts": names})


def copy_checkpoint(source: Path, target: Path) -> None:
    """Makes `target` hold what `source` does, in one move: the same files under a second name, where the file system
    can.
    """
    record = _record(source)
    with _replacing_parts(target) as mark:
        names = []
        for part in record["parts"]:
            name = part.removesuffix(_SUFFIX).removesuffix(_SECOND) + mark + _SUFFIX
            try:
                os.link(source / part, target / name)
            except OSError:
                shutil.copyfile(source / part, target / name)
                _flush(target / name)
            names.append(name)
        _commit(target, {**record, "parts": names})


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors on the CPU, state). Raises TrainingError when files are missing or damaged."""
    try:
        record = _record(folder)
        pieces: dict[str, list[Tensor]] = {}
        for part in record["parts"]:
            with safe_open(folder / part, "pt") as file:
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


def read_on_main(root: Path, rank: int, device: torch.device) -> tuple[str, dict[str, Tensor], dict[str, Any]] | None:
    """(path, tensors on the CPU, state) of the last checkpoint under `root` as process 0 finds it, on every process;
    None where there is none. The others need not see its disk.
    """
    found = list_checkpoints(root) if rank == 0 else []
    tensors, state = read_checkpoint(found[-1]) if found else ({}, {})
    told = [(str(found[-1]), state, {n: (t.shape, t.dtype) for n, t in tensors.items()}) if found else None]
    distributed.broadcast_object_list(told, src=0, device=device)
    if told[0] is None:
        return None
    where, state, kinds = told[0]
    received = {}
    for name, (shape, dtype) in kinds.items():
        sent = tensors[name] if rank == 0 else torch.empty(shape, dtype=dtype)
        sent = sent.contiguous().to(device)
        distributed.broadcast(sent, src=0)
        received[name] = sent.cpu()
    return where, received, state


def list_checkpoints(root: Path) -> list[Path]:
    """Whole checkpoints under `root`, oldest first; their names are the images seen."""
    return sorted(p for p in root.glob("[0-9]*") if (p / STATE).is_file())


def prune_checkpoints(root: Path, keep: int) -> None:
    """Removes all but the last `keep`, and what an interrupted writer left."""
    whole = list_checkpoints(root)
    left = [p for p in root.glob("[0-9]*") if p not in whole]
    for old in [*whole[:-keep], *left, *root.glob(".*.writing")]:
        remove_checkpoint(old)


def remove_checkpoint(folder: Path) -> None:
    """Removes `folder`, at any moment of which it is whole or none."""
    (folder / STATE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _replacing_parts(folder: Path) -> Iterator[str]:
    """A mark for the names of new files beside those that `folder` holds; afterwards only the new ones are left, or,
    on an error, only the old.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _listed(folder)
    mark = "" if any(name.endswith(_SECOND + _SUFFIX) for name in before) else _SECOND if before else ""
    try:
        _sweep(folder, before)
        yield mark
    except OSError as error:
        _sweep(folder, before)
        if not before:
            remove_checkpoint(folder)
        raise TrainingError(
            f"the checkpoint {folder} cannot be written ({error});"
            " the one before it is whole: make room and run the same command again"
        ) from error
    _sweep(folder, _listed(folder))


def _commit(folder: Path, record: Mapping[str, Any]) -> None:
    """The one move: until it is made `folder` is what it was, and whatever belongs together changes with it."""
    with replacing(folder / STATE) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")
        _flush(temporary)
    _flush(folder)
    _flush(folder.parent)


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    # Records of the first version did not list their parts: they were the only ones in the folder.
    return {"parts": sorted(p.name for p in folder.glob("part-*.safetensors")), **record}


def _listed(folder: Path) -> list[str]:
    return list(_record(folder)["parts"]) if (folder / STATE).is_file() else []


def _sweep(folder: Path, kept: Sequence[str]) -> None:
    for path in folder.iterdir():
        if path.name not in kept and path.name != STATE:
            path.unlink()


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
    if path.is_dir() and os.name != "posix":
        return  # only POSIX opens folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
