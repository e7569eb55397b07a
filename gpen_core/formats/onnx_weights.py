"""The weights of a GPEN network out of an ONNX file: by their names where it kept them, else by shape and order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..architecture import Network
from ..architecture.layers import EqualizedConv2d, EqualizedLinear, ModulatedConv2d
from ..config import GPENConfig
from ..errors import ConfigError, MissingPackageError, WeightsError

_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger", "QLinearMatMul")
#: What takes a tensor without being a layer: what is copied, and the sums of squares that demodulation divides by.
_NO_LAYERS = ("Identity", "Constant", "ReduceSum", "ReduceSumSquare", "Pow")
_CONFIG = "gpen.config"
_OWN = ("generator.", "ecd", "final_linear.")


class Constant(NamedTuple):
    """A tensor that the graph holds. times: what the layer that takes it multiplies it by."""

    name: str
    values: Tensor
    times: float = 1.0


def read_onnx(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(state dict, metadata) of the network in an ONNX file; another exporter's metadata states no configuration.

    Its tensors without a name are told by their shapes in the order of their use, and the factors that exporters fold
    into them are taken out again: whoever reads them should run both (`check_by_running`). Raises WeightsError that
    says why they cannot be told.
    """
    model = _parsed(path)
    operations = {node.op_type for node in model.graph.node}
    quantized = [name for name in _QUANTIZED if name in operations]
    if quantized:
        raise WeightsError(f"{path} is quantized ({quantized[0]}): its weights are rounded away; get the float form")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if _CONFIG in metadata:  # written by this program, under the parameters' own names
        named = {c.name: c.values for c in _constants(model, path) if c.name.startswith(_OWN)}
        return {**named, **_unseen(model)}, metadata
    constants = _without_sums(list(_constants(model, path)))
    return _matched(constants, _config_of(model, constants, path), path), metadata


def _parsed(path: Path) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError(f"reading ONNX needs more packages ({error}); install gpen[onnx]") from error
    try:
        model = onnx.load(str(path))
    except (DecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} is damaged or no ONNX file; get it again") from error
    except (OSError, onnx.checker.ValidationError, ValueError) as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path} keeps its weights in a file beside it that is missing or damaged ({first})"
        ) from error
    if not model.graph.node:
        raise WeightsError(f"{path} holds no graph; it is damaged or no ONNX file")
    return model


def _constants(model: Any, path: Path) -> Iterator[Constant]:
    """The graph's tensors in the order in which layers take them, laid out as torch's layers hold them.

    A tensor comes as often as it is taken: exporters keep equal ones but once.
    """
    held = {initializer.name: initializer for initializer in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                held[node.output[0]] = attribute.t
        if node.op_type == "Identity" and node.input[0] in held:
            held[node.output[0]] = held[node.input[0]]
        if node.op_type in _NO_LAYERS:
            continue
        taken = [(place, name, held[name]) for place, name in enumerate(node.input) if name in held]
        for place, name, tensor in taken:
            values = _values(tensor, name, path)
            if values.is_floating_point():
                yield Constant(tensor.name, _as_in_torch(values, node), _multiplier(node, place))


def _values(tensor: Any, name: str, path: Path) -> Tensor:
    from onnx import numpy_helper

    try:
        return torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsError(f"{name[:80]} in {path} is damaged ({error}); get the file again") from error


def _as_in_torch(values: Tensor, node: Any) -> Tensor:
    """What `node` takes, laid out as the layer that it was in torch holds it."""
    if node.op_type == "ConvTranspose" and values.ndim == 4:
        return values.transpose(0, 1)
    turned = node.op_type == "MatMul" or (node.op_type == "Gemm" and not _settings(node).get("transB"))
    return values.T if values.ndim == 2 and turned else values


def _multiplier(node: Any, place: int) -> float:
    """By what `node` multiplies its input number `place`: alpha the product's second, beta what is added."""
    return float(_settings(node).get(("", "alpha", "beta")[min(place, 2)], 1)) if node.op_type == "Gemm" else 1.0


def _settings(node: Any) -> dict[str, float]:
    return {attribute.name: attribute.i or attribute.f for attribute in node.attribute}


def _unseen(model: Any) -> dict[str, Tensor]:
    """Tensors that no node takes: kept for whoever converts back."""
    from onnx import numpy_helper

    taken = {name for node in model.graph.node for name in node.input}
    return {
        held.name: torch.from_numpy(np.array(numpy_helper.to_array(held)))
        for held in model.graph.initializer
        if held.name.startswith(_OWN) and held.name not in taken
    }


def _config_of(model: Any, constants: list[Constant], path: Path) -> GPENConfig:
    """The configuration that sizes and shapes tell."""
    shapes = [tuple(c.values.shape) for c in constants]
    convs = [shape[-4:-2] for shape in shapes if len(shape) in (4, 5) and shape[-2:] == (3, 3)]
    colours = [shape[-4:-2] for shape in shapes if len(shape) in (4, 5) and shape[-2:] == (1, 1) and shape[-4] == 3]
    sides = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    levels = sides[2].bit_length() - 3 if len(sides) == 4 else 0
    prior = convs[max(levels, 0) :]
    matrices = [shape for shape in shapes if len(shape) == 2]
    if levels < 1 or len(prior) < 3 or not len(prior) % 2 or not colours:
        raise WeightsError(
            f"{path} is no GPEN network, or one whose weights were folded beyond recognition "
            f"({len(shapes)} tensors, {len(prior)} modulated convolutions); it may be run, not converted"
        )
    channels = {4: prior[0][0], **{2 ** (level + 3): prior[2 * level + 1][0] for level in range(len(prior) // 2)}}
    style = next((a for a, b in matrices if b == 16 * channels[4]), None)
    if style is None:
        raise WeightsError(f"{path} has no layer from the smallest feature to a latent code; it is no GPEN network")
    modulated = [width for _, width in (*prior, *colours)]
    try:
        return GPENConfig(
            in_size=sides[2],
            out_size=max(channels),
            channels=channels,
            style_dim=style,
            n_mlp=matrices.count((style, style)) - modulated.count(style),
            concat=colours[0][1] == 2 * channels[4],
        )
    except ConfigError as error:
        raise WeightsError(f"{path} looks like a GPEN network but fits no configuration: {error}") from error


def _without_sums(constants: list[Constant]) -> list[Constant]:
    """What is left without the sums of squares that demodulation divides by, where they were computed beforehand."""
    sums = [c.values.reshape(c.values.shape[-4:]).square().sum((2, 3)) for c in constants if c.values.ndim in (4, 5)]

    def is_sum(values: Tensor) -> bool:
        return values.ndim == 2 and any(s.shape == values.shape and torch.allclose(s, values, 1e-4) for s in sums)

    return [c for c in constants if not is_sum(c.values)]


def _matched(constants: list[Constant], config: GPENConfig, path: Path) -> dict[str, Tensor]:
    with torch.device("meta"):
        network = Network(config).eval()
    expected = list(_in_order_of_use(network))
    own: dict[str, Tensor] = {}
    known = {name for name, _, _ in expected}
    prefix = _common_prefix([constant.name for constant in constants], known)
    queues: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
    for constant in constants:
        name = constant.name.removeprefix(prefix)
        if name in known and name not in own:
            own[name] = constant.values
        else:  # nameless, or equal to one that has a name
            queues[_bare(constant.values)].append(constant.values.double() * constant.times)
    found: dict[str, Tensor] = {}
    for name, parameter, factor in expected:
        if name in own and own[name].numel() == parameter.numel():
            found[name] = own[name].reshape(parameter.shape).contiguous()
            continue
        queue = queues[_bare(parameter)]
        if not queue:
            raise WeightsError(
                f"{path} holds no tensor that could be {name} {list(parameter.shape)}: its weights were folded beyond "
                "recognition; it may be run, not converted"
            )
        found[name] = (queue.pop(0) / factor).float().reshape(parameter.shape).contiguous()
    return found


def _common_prefix(names: list[str], known: set[str]) -> str:
    """What stands before the parameters' own names, where the network was a part of what was exported."""
    prefixes = Counter(
        name[: len(name) - len(own)] for name in names for own in known if name.endswith(own) and "." in own
    )
    return prefixes.most_common(1)[0][0] if prefixes else ""


def _bare(tensor: Tensor) -> tuple[int, ...]:
    """The shape without its ones, which exporters add and take away; a single number keeps its own."""
    return tuple(side for side in tensor.shape if side != 1) if tensor.numel() != 1 else tuple(tensor.shape)


def _in_order_of_use(network: Network) -> Iterator[tuple[str, Tensor, float]]:
    """(name, tensor, factor folded into it) of every parameter, in the order in which a face meets them."""
    config = network.config
    thin = Network(replace(config, channels=dict.fromkeys(config.resolutions, 1), style_dim=1)).eval()
    met: list[str] = []
    for name, module in thin.named_modules():
        module.register_forward_pre_hook(lambda module, _, name=name: met.append(name))
    with torch.no_grad():
        thin(torch.zeros(1, 3, config.in_size, config.in_size))
    for name in met:
        module = network.get_submodule(name)
        for own, parameter in module.named_parameters(recurse=False):
            yield f"{name}.{own}", parameter, _factor(module, own)


def _factor(module: nn.Module, name: str) -> float:
    """What a layer multiplies its own parameter by, which exporters do beforehand."""
    if name == "weight" and isinstance(module, EqualizedLinear | EqualizedConv2d | ModulatedConv2d):
        return float(module.scale)
    if name == "bias" and isinstance(module, EqualizedLinear):
        return float(module.rate)
    return 1.0
