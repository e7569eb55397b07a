"""GPEN networks out of files, checked, and into files that describe themselves."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..architecture import PRIORS, Network, Prior, build_prior, config_from_shapes, prior_config
from ..config import GPENConfig, ModelCard, Task
from ..errors import ConfigError, WeightsError
from ..files import sweep
from ..formats.onnx_model import check_by_running
from . import zoo
from .cache import converted_path, sha256_of
from .description import (
    CARD_KEY,
    CONFIG_KEY,
    Header,
    agreed_config,
    choose_card,
    decode,
    encode,
    foreign,
    mismatch,
    recognise,
    shapes_of,
)
from .entry import ONNX, ZooEntry
from .hub import CONFIG_NAME, WEIGHTS_NAME
from .location import Located
from .tensors import RawFile, is_finite, is_pickle, read_tensors, save_tensors, tensors_sha256

# A stored blur kernel is [1, 3, 3, 1]² over its sum, times the gain; files written in half precision are this far off.
_KERNEL_TOLERANCE = 1e-3

Kind = TypeVar("Kind", bound=Network)


def read(path: Path | str, *, task: Task | None = None, trust_pickle: bool = False) -> Network:
    """The network in a file: complete, finite, float32 on the CPU, in evaluation mode; its `file` is `path`.

    task: what it is for, where the file itself does not say (see `choose_card`). trust_pickle: see `read_tensors`.
    Raises WeightsError for anything else than a GPEN network, and names what it is.
    """
    path = Path(path)
    return _network(Network, read_tensors(path, trust_pickle=trust_pickle), path, task=task, entry=None)


def load(located: Located, kind: type[Kind], *, task: Task | None = None, trust_pickle: bool = False) -> Kind:
    """The located file's network, as `read` gives it; a pickle is converted once and read from the cache from then on.

    kind: the class to build: `Network`, or one derived from it.
    """
    path, entry = located
    if not is_pickle(path) or not path.is_file():
        raw = _with_config_beside(read_tensors(path), path)
        network = _network(kind, raw, path, task=task, entry=entry)
        if path.suffix.lower() == ONNX and CONFIG_KEY not in raw.metadata:
            check_by_running(path, network)
        return network
    sha256 = sha256_of(path)
    entry = zoo.with_hash(sha256) or entry
    converted = _kept(sha256)
    if converted is not None:
        return _network(kind, converted, path, task=task, entry=entry)
    network = _network(kind, read_tensors(path, trust_pickle=trust_pickle), path, task=task, entry=entry)
    # The card stays out: whether it was known or guessed may differ the next time.
    state_dict = dict(network.state_dict())
    _keep(sha256, RawFile(state_dict, encode(Header(network.config, None, tensors_sha256(state_dict)))))
    return network


def read_state_dict(located: Located, *, part: str | None = None, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The located file's tensors, finite, in their own types: of any network (detector, parser, discriminator, …).

    part: the wrapper's key to open (`d` of a training checkpoint); a pickle without it is converted once.
    """
    path = located.path
    sha256 = sha256_of(path) if part is None and is_pickle(path) and path.is_file() else None
    converted = None if sha256 is None else _kept(sha256)
    if converted is not None:
        return converted.tensors
    raw = read_tensors(path, part=part, trust_pickle=trust_pickle)
    for name, tensor in raw.tensors.items():
        if not is_finite(tensor):
            raise WeightsError(f"{name} in {path} holds NaN or infinite values; get the file again")
    if sha256 is not None:
        _keep(sha256, RawFile(raw.tensors, {"format": "pt"}))
    return raw.tensors


def write(path: Path | str, state_dict: Mapping[str, Tensor], config: GPENConfig, card: ModelCard | None) -> str:
    """The tensors' hash, after writing a self-describing safetensors file, whole or not at all.

    card: None leaves it to whoever reads the file. Tensors keep their float type.
    Raises WeightsError when the tensors do not fit the configuration, are not finite, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise WeightsError(f"{path} must end in .safetensors: that is the one format written")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    with torch.device("meta"):
        network = Network(config)
    _complete(tensors, network, "the state dict")
    sha256 = tensors_sha256(tensors)
    if card is not None:
        card = replace(card, details={key: value for key, value in card.details.items() if key != "sha256"})
    save_tensors(path, tensors, encode(Header(config, card, sha256)))
    return sha256


def _network(kind: type[Kind], raw: RawFile, path: Path, *, task: Task | None, entry: ZooEntry | None) -> Kind:
    """The network in `raw`, checked. It is built without memory of its own, and takes the file's tensors."""
    where = str(path)
    header = decode(raw.metadata, where)
    config = agreed_config(header.config, recognise(shapes_of(raw.tensors), where), where)
    card = choose_card(config, where=where, stated=header.card, task=task, entry=entry, name=path.stem)
    if header.sha256 is not None:
        card = replace(card, details={**card.details, "sha256": header.sha256})
    with torch.device("meta"):
        network = kind(config, card)
    network.load_state_dict(_complete(raw.tensors, network, where), strict=True, assign=True)
    network.file = path
    return network.eval()


def read_prior(path: Path, *, trust_pickle: bool = False) -> Prior:
    """The generator in a file of one of `PRIORS`, under the names that are usual for it: float32 on the CPU, checked.

    Raises WeightsError for anything else, and names what it is.
    """
    where = str(path)
    raw = read_tensors(path, trust_pickle=trust_pickle)
    stated, shapes = decode(raw.metadata, where).config, shapes_of(raw.tensors)
    try:
        found = prior_config(shapes)
        if found is None:
            is_model = config_from_shapes(shapes) is not None
            known = "a GPEN network; load_model reads it" if is_model else foreign(shapes) or "none that is known"
            raise WeightsError(f"{where} holds no generator of {', '.join(PRIORS)}: it is {known}")
        if stated is not None:
            found = agreed_config(stated, replace(found, in_size=stated.in_size), where)
        with torch.device("meta"):
            prior = build_prior(found)
        tensors = _complete(prior.adapted(raw.tensors), prior, where)
    except ConfigError as error:
        raise WeightsError(f"{where} looks like a generator but fits no configuration: {error}") from error
    prior.load_state_dict(tensors, strict=True, assign=True)
    prior.requires_grad_(False).eval()
    prior.settle(raw.tensors)
    return prior


def _complete(tensors: Mapping[str, Tensor], network: Network | Prior, where: str) -> dict[str, Tensor]:
    """All tensors of a network without memory, in float32, absent constants filled in. Raises WeightsError."""
    # What has values there is a blur kernel: the same in every network, and absent from some files.
    constants = {name: buffer for name, buffer in network.named_buffers() if not buffer.is_meta}
    problem = mismatch(shapes_of(tensors), shapes_of(network.state_dict()), optional=frozenset(constants))
    if problem is not None:
        brief = _brief(network.config)
        raise WeightsError(f"{where} does not fit the configuration that its shapes tell ({brief}): {problem}")
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
                f"the blur kernel {name} in {where} is not the one of {network.config.prior}: another network's weights"
            )
    return complete


def _brief(config: GPENConfig) -> str:
    size = f"{config.in_size}" if config.in_size == config.out_size else f"{config.in_size} → {config.out_size}"
    channels = "/".join(str(count) for count in config.channels.values())
    return f"{config.prior}, {size} px, channels {channels}, {config.options.brief(config.style_dim)}"


def _with_config_beside(raw: RawFile, path: Path) -> RawFile:
    """`raw` with what a config.json beside it says, where the file's own header says nothing (the Hub's convention)."""
    beside = path.parent / CONFIG_NAME
    if CARD_KEY in raw.metadata or path.name != WEIGHTS_NAME or not beside.is_file():
        return raw
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{beside} is not JSON: {error}") from error
    if not isinstance(values, dict) or values.get("model_type") != "gpen":
        return raw
    found = {
        key: json.dumps(values[name]) for key, name in ((CONFIG_KEY, "config"), (CARD_KEY, "card")) if name in values
    }
    return RawFile(raw.tensors, {**found, **raw.metadata})


def _kept(sha256: str) -> RawFile | None:
    """What an earlier conversion of the file of this content kept; None where there is none that can be read."""
    path = converted_path(sha256)
    if not path.is_file():
        return None
    try:
        return read_tensors(path)
    except WeightsError:  # damaged since: made anew
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def _keep(sha256: str, raw: RawFile) -> None:
    path = converted_path(sha256)
    sweep(path.parent)
    try:
        save_tensors(path, raw.tensors, raw.metadata)
    except WeightsError as error:
        warnings.warn(f"the converted weights are not kept, so every load converts again: {error}", stacklevel=2)
