"""A face from a map of its regions, and the loop parse → edit the map → synthesise on a face that is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import ModelCard, Template
from ..contracts import Detector, Model, Parser, parser_size
from ..errors import InputError
from ..faces.mask import LABELS
from ..faces.palette import paint, picture_labels, resize_labels
from ..faces.types import Detection
from ..images import Picture, PictureLike, as_picture
from ..images.picture import to_depth
from ..images.planes import resize
from ..options import RestoreOptions, Selection
from ..restore import FaceRestorer, RestoredPicture
from ..restore.align import align_faces
from ..restore.detect import find_faces
from ..restore.run import BatchSizer, run_network
from .network import check_task, for_task

#: A map of labels (S, S), integers 0 to 18, and the face's index to the map that is wanted instead.
Edit = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


def as_labels(given: Any) -> NDArray[np.uint8]:
    """(H, W) uint8 labels of a map given as labels (an integer array or tensor (H, W)) or as colours (anything that
    `as_picture` takes). Raises as `read_labels` and `paint`."""
    if isinstance(given, Tensor) and given.ndim == 2:
        given = given.cpu().numpy()
    if isinstance(given, np.ndarray) and given.ndim == 2:
        paint(given)
        labels: NDArray[np.uint8] = given.astype(np.uint8)
        return labels
    return picture_labels(as_picture(given))


def synthesize_face(labels: Any, model: Model) -> NDArray[np.uint8]:
    """(out_size, out_size, 3) uint8 RGB: a face whose regions lie as in the map `labels` (see `as_labels`).

    Raises WeightsError for a model of another task, InputError where the map is not square, FaceError where its
    colours are not the palette's.
    """
    check_task(model, "segmentation")
    wanted = as_labels(labels)
    if wanted.shape[0] != wanted.shape[1]:
        raise InputError(f"a map of a face's regions is square; this one is {wanted.shape[1]}×{wanted.shape[0]}")
    face = FaceRestorer(model).run(_painted([wanted], model.config.in_size))[0]
    pixels: NDArray[np.uint8] = np.rint(face.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    return pixels


def parse_face(picture: PictureLike, parser: Parser) -> NDArray[np.uint8]:
    """(S, S) uint8 labels, 0 to 18, of the aligned face `picture`. Raises InputError where the parser gives a float
    mask, or the picture is not square."""
    pixels = to_depth(as_picture(picture).pixels, np.float32)
    if pixels.shape[0] != pixels.shape[1]:
        raise InputError(f"an aligned face is square; this picture is {pixels.shape[1]}×{pixels.shape[0]}")
    return _parsed(torch.from_numpy(pixels).permute(2, 0, 1)[None], parser)[0]


def parse_faces(
    picture: PictureLike,
    *,
    parser: Parser,
    detector: Detector,
    detections: Sequence[Detection] | None = None,
    face_template: Template = "gpen",
) -> list[NDArray[np.uint8]]:
    """The map (512, 512) of every face of a photograph, in the order of their detection.

    face_template: where the landmarks lie in the crop that is parsed; that of the model which is to read the map.
    """
    given = as_picture(picture)
    faces = find_faces(detector, given, Selection()) if detections is None else list(detections)
    card = ModelCard(template=face_template)
    crops = align_faces(given, faces, parser_size(parser), card, RestoreOptions()).crops
    return _parsed(crops, parser) if faces else []


def edit_faces(
    picture: PictureLike,
    model: Model,
    edit: Edit,
    *,
    parser: Parser,
    detector: Detector | None = None,
    options: RestoreOptions | None = None,
    detections: Sequence[Detection] | None = None,
) -> RestoredPicture:
    """The photograph `picture` with each face parsed, its map changed by `edit`, and the face made anew from it.

    parser: one that gives the 19 labels. Other arguments as `FaceRestorer` takes them. Raises as `synthesize_face`
    and `FaceRestorer.restore`.
    """
    check_task(model, "segmentation")
    size, done = model.config.in_size, 0

    def to_map(crops: Tensor) -> Tensor:
        nonlocal done
        wanted = [as_labels(edit(labels, done + k)) for k, labels in enumerate(_parsed(crops, parser))]
        done += len(wanted)
        return _painted(wanted, size).to(crops.device)

    # One at a time: a batch that had to be halved for want of memory must not ask for the same edits twice.
    options = replace(for_task(options), batch_size=1)
    return FaceRestorer(model, detector, parser, prepare=to_map).restore(picture, options, detections=detections)


def map_picture(labels: NDArray[np.uint8]) -> Picture:
    """The map as a picture to edit, in the palette's colours."""
    return Picture(pixels=paint(labels))


def _painted(maps: list[NDArray[np.uint8]], size: int) -> Tensor:
    """(N, 3, size, size) in [0, 1]: the maps in the palette's colours; labels are never mixed by resizing."""
    painted = np.stack([paint(resize_labels(labels, size)) for labels in maps])
    return torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 255


def _parsed(crops: Tensor, parser: Parser) -> list[NDArray[np.uint8]]:
    parsed = run_network(parser, resize(crops, parser_size(parser)), BatchSizer())
    if parsed.is_floating_point():
        raise InputError(
            f"a map of regions needs a parser that gives {len(LABELS)} labels (integers); this one gives a float mask"
        )
    return [as_labels(one) for one in parsed.cpu()]
