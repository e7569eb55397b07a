"""Which network a state dict belongs to, from its names and shapes alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..architecture import config_from_shapes
from ..config import GPENConfig
from ..errors import ConfigError, WeightsError

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
)
_REMEDY = {
    "a discriminator": "give the restorer (the file without -D), or g_ema of the training checkpoint",
    "a StyleGAN2 generator without an encoder": "it can start a training as the prior, not restore a face",
}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def recognise(shapes: Shapes, where: str) -> GPENConfig:
    """The configuration of the GPEN network whose state dict has these shapes, `lr_mlp` as the official files.

    Raises WeightsError that says which other network the file `where` holds, if it is a known one.
    """
    try:
        config = config_from_shapes(shapes)
    except ConfigError as error:
        raise WeightsError(f"{where} looks like a GPEN network but fits no configuration: {error}") from error
    if config is not None:
        return config
    known = foreign(shapes)
    if known is not None:
        remedy = _REMEDY.get(known, "`gpen models` lists files that fit")
        raise WeightsError(f"{where} is {known}, not a GPEN network; {remedy}")
    sample = ", ".join(sorted(shapes)[:3]) or "nothing"
    raise WeightsError(
        f"{where} is no GPEN network ({len(shapes)} tensors: {sample}, …); `gpen models` lists files that fit"
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
    return ", ".join(found[:limit]) + (f" and {len(found) - limit} more" if len(found) > limit else "")
