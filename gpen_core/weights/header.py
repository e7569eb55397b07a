"""What a model file says of itself: the metadata of its safetensors header (see docs/model-files.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from ..config import GPENConfig, ModelCard
from ..errors import ConfigError, WeightsError

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
        raise WeightsError(f"{where} is written in layout {layout}; this version reads {LAYOUT}: upgrade gpen")
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


def read(path: Path) -> Header:
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
    except ValueError as error:
        raise WeightsError(f"{key} in the header of {where} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{key} in the header of {where} must be a JSON object, got {type(values).__name__}")
    return values


def agreed_config(stated: GPENConfig | None, found: GPENConfig, where: str) -> GPENConfig:
    """The configuration that `found` in the shapes and the header's (if any) agree on; the header alone tells lr_mlp.

    Raises WeightsError that names the fields in which they differ.
    """
    if stated is None:
        return found
    found = replace(found, lr_mlp=stated.lr_mlp)
    if stated == found:
        return found
    ours, theirs = found.to_dict(), stated.to_dict()
    fields = "; ".join(f"{key} {theirs[key]} against {ours[key]}" for key in ours if ours[key] != theirs[key])
    raise WeightsError(f"the header of {where} contradicts its tensors: {fields}; get the file again or convert anew")
