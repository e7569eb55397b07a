"""Second step: each face straightened, at the network's input size, in sRGB."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..config import ModelCard
from ..contracts import Model, input_size_for, larger_of
from ..errors import ConfigError, InputError
from ..faces import levels
from ..faces.geometry import fit_similarity, of_wide_pixels, template
from ..faces.types import Detection, FaceCrops
from ..faces.warp import crop_faces
from ..fields import changed
from ..images import Picture, to_srgb
from ..images.planes import planes_of, resize
from ..options import RestoreOptions

#: A face that is less wide or high in its picture, pixels, has no more to show than a network of 256 px gives back.
LARGE_FACE = 200.0


def align_faces(
    picture: Picture, detections: Sequence[Detection], size: int, card: ModelCard, options: RestoreOptions
) -> FaceCrops:
    """The crops of these faces of a photograph, `size` px a side, with the template and border of `card` unless the
    options name others."""
    picture_size = (picture.height, picture.width)
    if not detections:
        empty = torch.zeros(0, 2, 3, dtype=torch.float64)
        return FaceCrops(crops=torch.zeros(0, 3, size, size), affines=empty, detections=(), picture_size=picture_size)
    target = template(options.template or card.template, size)
    square = [face.scaled(picture.pixel_aspect, 1).landmarks for face in detections]
    affines = of_wide_pixels(fit_similarity(square, target, options.fit), picture.pixel_aspect)
    crops = crop_faces(
        planes_of(picture.pixels),
        affines,
        size,
        options.border or card.border,
        antialias=options.antialias,
        full_scale=picture.full_scale,
    )
    crops = to_srgb(crops, picture.icc_profile)
    if options.eight_bits:
        levels.round_(crops)
    return FaceCrops(crops=crops, affines=affines, detections=tuple(detections), picture_size=picture_size)


def size_for(model: Model, side: float, *, whole: bool = False) -> int:
    """At which of the model's input sizes a face of `side` px is cut out: at the larger one, where it has two, from
    `LARGE_FACE` px on in the picture that it is cut from. whole: the face is all of its picture, which is then larger
    than the smaller size.
    """
    if whole:
        return input_size_for(model, round(side))
    larger = larger_of(model)
    return model.config.in_size if larger is None or side < LARGE_FACE else larger.in_size


def whole_face(picture: Picture, card: ModelCard) -> Detection:
    """The face that an aligned picture is. Raises InputError where it is not square."""
    if picture.width != picture.height:
        raise InputError(
            f"{picture.path or 'the picture'} is {picture.width}×{picture.height}; an aligned face is square; "
            "leave `aligned` (--aligned) out for photographs"
        )
    side = picture.width
    return Detection(box=torch.tensor([0, 0, side, side]), landmarks=template(card.template, side) - 0.5)


def take_whole(
    picture: Picture, detections: Sequence[Detection], size: int, card: ModelCard, options: RestoreOptions
) -> FaceCrops:
    """The crop of an aligned face, the one of `detections`: all of its picture, at `size` px."""
    side = picture.width
    planes = planes_of(picture.pixels)[None].float().div(picture.full_scale)
    crops = resize(to_srgb(planes, picture.icc_profile), size, antialias=options.antialias)
    if options.eight_bits:
        levels.round_(crops)
    ratio = size / side
    offset = 0.5 * ratio - 0.5
    affine = torch.tensor([[[ratio, 0.0, offset], [0.0, ratio, offset]]], dtype=torch.float64)
    return FaceCrops(crops=crops, affines=affine, detections=tuple(detections), picture_size=(side, side), whole=True)


#: What is called otherwise at the shell.
_AT_THE_SHELL = {"indices": " (--faces)", "longest_side": " (--detect-size)"}
#: Beside all that chooses among faces: what straightens them, and what counts where two meet.
_FOR_PHOTOGRAPHS = {"template", "border", "fit", "blending.overlap"}


def check_aligned(options: RestoreOptions) -> None:
    """Raises ConfigError, naming it, for an option that an aligned face cannot honour: nothing is looked for in it,
    nothing straightened, and it is alone."""
    refused = [name for name in changed(options) if name.startswith("selection.") or name in _FOR_PHOTOGRAPHS]
    if refused:
        names = [name.rpartition(".")[-1] for name in refused]
        said = ", ".join(f"{name}{_AT_THE_SHELL.get(name, '')}" for name in names)
        raise ConfigError(f"{said}: for photographs; an aligned face is taken as it is, leave that out")
