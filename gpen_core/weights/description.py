"""What a file of weights is: its header says (see docs/model-files.md), its names and shapes tell, the zoo knows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from safetensors import SafetensorError, safe_open

from ..config import GPENConfig, ModelCard, Task
from ..errors import ConfigError, OtherNetworkError, WeightsError
from . import zoo
from .entry import ZooEntry

if TYPE_CHECKING:
    from torch import Tensor

LAYOUT = "1"
LAYOUT_KEY, CONFIG_KEY, CARD_KEY, HASH_KEY = "gpen.layout", "gpen.config", "gpen.card", "gpen.sha256"

# What opening a damaged safetensors file raises.
UNREADABLE = (SafetensorError, OSError, ValueError)


class Header(NamedTuple):
    """What stood in the metadata; None for what did not. sha256: of the tensors, as `tensors_sha256` gives it."""

    config: GPENConfig | None = None
    card: ModelCard | None = None
    sha256: str | None = None


def encode(header: Header) -> dict[str, str]:
    """The metadata of a safetensors file."""
    metadata = {"format": "pt", LAYOUT_KEY: LAYOUT}
    if header.config is not None:
        metadata[CONFIG_KEY] = json.dumps(header.config.to_dict(), ensure_ascii=False)
    if header.card is not None:
        try:
            metadata[CARD_KEY] = json.dumps(header.card.to_dict(), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the card's details must be JSON values: {error}") from error
    if header.sha256 is not None:
        metadata[HASH_KEY] = header.sha256
    return metadata


def decode(metadata: Mapping[str, str], where: str) -> Header:
    """What the metadata of the file `where` says. Raises WeightsError where it cannot be read."""
    layout = metadata.get(LAYOUT_KEY, LAYOUT)
    if layout != LAYOUT:
        raise WeightsError(f"{where} is written in layout {layout[:20]}; this version reads {LAYOUT}: upgrade gpen")
    config = _json(metadata, CONFIG_KEY, where)
    card = _json(metadata, CARD_KEY, where)
    try:
        return Header(
            config=None if config is None else GPENConfig.from_dict(config),
            card=None if card is None else ModelCard.from_dict(card),
            sha256=metadata.get(HASH_KEY),
        )
    except ConfigError as error:
        raise WeightsError(f"the header of {where} is wrong: {error}") from error


def read_header(path: Path) -> Header:
    """What a safetensors file says of itself; its tensors stay where they are. Raises WeightsError as `decode`, and
    for a damaged file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except UNREADABLE as error:
        raise damaged(path, error) from error
    return decode(metadata, str(path))


def damaged(path: Path, error: Exception) -> WeightsError:
    """What to say of a safetensors file that cannot be opened."""
    return WeightsError(f"{path} is cut short or damaged ({error}); get it again")


def _json(metadata: Mapping[str, str], key: str, where: str) -> dict[str, Any] | None:
    text = metadata.get(key)
    if text is None:
        return None
    try:
        values = json.loads(text)
        _check_depth(values)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{key} in the header of {where} is not JSON as it should be: {error}") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{key} in the header of {where} must be a JSON object, got {type(values).__name__}")
    return values


def _check_depth(values: object, levels: int = 64) -> None:
    """Raises ValueError for what is nested so deeply that printing and copying it would fail."""
    if levels == 0:
        raise ValueError("it is nested more than 64 levels deep")
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    for value in inner:
        _check_depth(value, levels - 1)


def agreed_config(stated: GPENConfig | None, found: GPENConfig, where: str) -> GPENConfig:
    """The configuration that `found` in the shapes and the header's (if any) agree on; what shapes do not tell
    (`PriorOptions.UNSEEN`), the header alone tells.

    Raises WeightsError that names the fields in which they differ.
    """
    if stated is None:
        return found
    if stated.prior == found.prior:
        told = {**asdict(stated.options), **stated.to_dict()}
        sizes = ("in_size", "out_size") if "channels" in stated.options.UNSEEN else ()
        unseen = {name: told[name] for name in (*sizes, *stated.options.UNSEEN)}
        found = GPENConfig.from_dict({**found.to_dict(), **unseen})
    if stated == found:
        return found
    ours, theirs = found.to_dict(), stated.to_dict()
    names = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    fields = "; ".join(f"{key} {theirs.get(key)} against {ours.get(key)}" for key in names)
    raise WeightsError(f"the header of {where} contradicts its tensors: {fields}; get the file again or convert anew")


Shapes = Mapping[str, tuple[int, ...]]

# Name of the network → beginnings of names that only it has (all must occur).
_FOREIGN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a GFPGAN restorer", ("stylegan_decoder", "conv_body_")),
    ("a CodeFormer restorer", ("quantize.", "ft_layers.")),
    ("a RestoreFormer restorer", ("vqvae.",)),
    ("a RestoreFormer restorer", ("encoder.", "decoder.", "quantize.")),
    ("an e4e or pSp encoder", ("encoder.", "decoder.style.")),
    ("a super-resolution network (RRDBNet, as in Real-ESRGAN)", ("conv_first.", "body.0.rdb1.")),
    ("a super-resolution network (ESRGAN)", ("model.0.", "model.1.sub.")),
    ("a super-resolution network (SRVGGNet, as in Real-ESRGAN)", ("body.0.weight", "body.1.weight", "body.2.weight")),
    ("a StyleGAN2 or StyleGAN3 generator in NVIDIA's layout", ("mapping.fc0.", "synthesis.")),
    ("a discriminator", ("convs.0.0.weight", "final_conv.", "final_linear.")),
    ("a StyleGAN2 generator without an encoder", ("style.1.", "convs.0.conv.", "to_rgb1.")),
    ("a GPEN file without its encoder", ("generator.style.", "generator.convs.")),
    ("a GPEN encoder without its prior", ("ecd0.", "final_linear.")),
    ("a RetinaFace detector", ("ssh1.", "fpn.", "body.")),
    ("a ParseNet parser", ("out_mask_conv.",)),
    ("a BiSeNet parser", ("cp.resnet.", "ffm.")),
    ("an ArcFace recognition network", ("input_layer.", "output_layer.")),
    ("a MobileNet that recognises faces", ("depthwise.0.", "pointwise.0.")),
    ("an occlusion network", ("down.0.", "narrow.0.", "judge.")),
)
#: Of those, what `load_model` runs all the same (see `formats.restorers`).
OTHER_RESTORERS = ("a GFPGAN restorer", "a CodeFormer restorer", "a RestoreFormer restorer")
_REMEDY = {
    "a discriminator": "give the restorer (the file without -D, a run's model.safetensors), or g_ema of "
    "the training checkpoint; this one is for `gpen train --discriminator`",
    "a StyleGAN2 generator without an encoder": "it can start a training as the prior, not restore a face",
}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def recognise(shapes: Shapes, where: str) -> GPENConfig:
    """The configuration of the GPEN network whose state dict has these shapes, `lr_mlp` as the official files.

    Raises WeightsError that says which other network the file `where` holds, if it is a known one.
    """
    # Listing models takes headers alone, and need not wait for torch.
    from ..architecture import config_from_shapes

    try:
        config = config_from_shapes(shapes)
    except ConfigError as error:
        raise WeightsError(f"{where} looks like a GPEN network but fits no configuration: {error}") from error
    if config is not None:
        return config
    known = foreign(shapes)
    if known is not None:
        remedy = _REMEDY.get(known, "`gpen models` lists files that fit")
        raise OtherNetworkError(f"{where} is {known}, not a GPEN network; {remedy}", known)
    sample = _listed(sorted(shapes), 3) if shapes else "nothing"
    raise WeightsError(
        f"{where} is no GPEN network ({len(shapes)} tensors: {sample}); `gpen models` lists files that fit"
    )


def foreign(shapes: Shapes) -> str | None:
    """The name of the other known network that these names belong to, with its article; None: unknown."""
    for name, beginnings in _FOREIGN:
        if all(any(key.startswith(beginning) for key in shapes) for beginning in beginnings):
            return name
    return None


def mismatch(shapes: Shapes, expected: Shapes, *, optional: frozenset[str] = frozenset()) -> str | None:
    """One line that lists what is missing (but for `optional`), unexpected, or of another shape; None: all fits."""
    missing = sorted(name for name in expected if name not in shapes and name not in optional)
    unexpected = sorted(name for name in shapes if name not in expected)
    wrong = [
        f"{name} {list(shapes[name])} instead of {list(expected[name])}"
        for name in sorted(expected)
        if name in shapes and tuple(shapes[name]) != tuple(expected[name])
    ]
    parts = [
        f"{len(found)} {word}: {_listed(found)}"
        for word, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
        if found
    ]
    return "; ".join(parts) or None


def _listed(found: list[str], limit: int = 6) -> str:
    return ", ".join(name[:120] for name in found[:limit]) + (
        f" and {len(found) - limit} more" if len(found) > limit else ""
    )


def choose_card(
    config: GPENConfig,
    *,
    where: str,
    stated: ModelCard | None = None,
    task: Task | None = None,
    entry: ZooEntry | None = None,
    name: str | None = None,
) -> ModelCard:
    """The card, from the first that tells: header, caller, zoo, file name (a guess, said in a warning), default.

    stated: the header's. task: the caller's. entry: the zoo's, known by hash or because the file was asked for by
    its name. name: the file's, without folder and suffix. `card.details["card_from"]` says which of them it was.
    Raises WeightsError when the caller's task contradicts the header.
    """
    if task is not None and task not in get_args(Task):
        raise ConfigError(f"task is {task!r}; it must be one of {', '.join(get_args(Task))}")
    if stated is not None:
        if task is not None and task != stated.task:
            raise WeightsError(
                f"{where} says in its header that it is for {stated.task}, not {task}; "
                f"`gpen convert --task {task}` writes a file with another card"
            )
        return stated
    alike = zoo.restorers_like(config)
    if task is not None:
        return _from(next((e for e in alike if e.card is not None and e.card.task == task), None), "caller", task, name)
    if entry is not None and entry.card is not None:
        return _from(entry, "zoo", None, None)
    named = zoo.lookup(name) if name is not None else None
    if named is not None and named.card is not None and named.config == config:
        warnings.warn(f"{where} is taken for {named.name} by its file name, which is a guess", stacklevel=2)
        return _from(named, "file name, a guess", None, None)
    others = sorted({e.card.task for e in alike if e.card is not None} - {"restoration"})
    also = f"; {' and '.join(others)} models have the same shapes" if others else ""
    warnings.warn(f"{where} does not say what it is for: taken for restoration{also} (give task=…)", stacklevel=2)
    return _from(None, "default", "restoration", name)


def _from(entry: ZooEntry | None, source: str, task: Task | None, name: str | None) -> ModelCard:
    details: Mapping[str, Any] = {"card_from": source}
    if entry is not None and entry.card is not None:
        card = replace(entry.card, details={**entry.card.details, **details})
        # A caller's task tells the kind of model, not whose it is.
        return card if task is None else replace(card, name=name or "unnamed", licence="unknown", origin="unknown")
    value_range = (0.0, 1.0) if task == "segmentation" else (-1.0, 1.0)
    return ModelCard(name=name or "unnamed", task=task or "restoration", value_range=value_range, details=details)
