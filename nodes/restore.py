"""Restore Faces: everything in one node."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..gpen_core.background import Larger
from ..gpen_core.faces.types import Detection
from ..gpen_core.film_options import Smoothing
from ..gpen_core.images import Picture, as_picture
from ..gpen_core.options import Blending, Masking, RestoreOptions, Selection
from ..gpen_core.restore import FaceRestorer, RestoredPicture
from ..gpen_core.video.frames import restore_frames
from . import adapter, inputs, pictures
from .adapter import Progress, io, schema, trim_heap
from .boxes import boxes_out
from .enlarge import Keeping, enlarger
from .find import UNKNOWN, Given, find_faces
from .memory import MOST_PICTURES
from .model import FaceModel
from .segs import check_segs, mask_of
from .tally import Tally
from .wires import BoundingBoxes, GPENModel, UpscaleModel


class RestoreFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_RestoreFaces",
            display_name="Restore Faces (GPEN)",
            category="GPEN",
            description="Finds every face, straightens it, restores it with a GPEN model and puts it back without a "
            "seam. Pictures without a face pass through.",
            search_aliases=inputs.RESTORE_WORDS,
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model."),
                io.Image.Input("image", tooltip="One picture or a batch of frames."),
                inputs.option_input("strength"),
                *inputs.selection_inputs(),
                *inputs.masking_inputs(),
                *inputs.detection_inputs(),
                inputs.option_input("template"),
                inputs.smoothing_input(),
                *inputs.given_faces_inputs(),
                *canvas_inputs(),
                inputs.option_input("sharpen"),
                inputs.numbers_input(),
                *inputs.later_inputs(Selection, Masking, Blending, RestoreOptions),
            ],
            outputs=restored_outputs(),
            hidden=inputs.HIDDEN,
        )

    @classmethod
    def execute(
        cls,
        gpen_model: FaceModel,
        image: Tensor,
        face_selection: str,
        sort_by: str,
        reverse_order: bool,
        take_start: int,
        take_count: int,
        temporal_smoothing: bool,
        bounding_boxes: Any = None,
        face_landmarks: Any = None,
        segs: Any = None,
        mask: Tensor | None = None,
        upscale_model: Any = None,
        face_numbers: str = "",
        **options: Any,
    ) -> Any:
        chosen = inputs.choice_of(face_selection, sort_by, reverse_order, take_start, take_count, face_numbers)
        return restore_images(
            gpen_model,
            image,
            inputs.options_of(options),
            chosen,
            Given(None, face_landmarks, bounding_boxes, segs),
            temporal_smoothing=temporal_smoothing,
            mask=mask,
            upscale_model=upscale_model,
            node=cls,
        )


def canvas_inputs() -> list[Any]:
    """What the faces go into: how much of it may change, and what enlarges it."""
    return [
        io.Mask.Input("mask", optional=True, tooltip="Only what is white here may change, as far as it is white."),
        UpscaleModel.Input(
            "upscale_model",
            optional=True,
            tooltip="Enlarges everything that is no face; the faces are pasted into its result.",
        ),
    ]


def restored_outputs() -> list[Any]:
    """What a node gives that restores pictures, as `restore_images` fills it."""
    return [
        io.Image.Output("image", tooltip="The pictures with their faces restored."),
        io.Mask.Output("mask", tooltip="How much of each pixel is restored face."),
        io.Image.Output("faces_before", tooltip="The straightened faces as the network saw them."),
        io.Image.Output("faces_after", tooltip="The same faces as it gave them back."),
        BoundingBoxes.Output("bounding_boxes", tooltip="The boxes of the restored faces of each picture."),
        io.Int.Output("face_count", tooltip="How many faces were restored in all pictures together."),
    ]


def restore_images(
    gpen_model: FaceModel,
    image: Tensor,
    settings: RestoreOptions,
    chosen: Callable[[Sequence[Detection]], list[Detection]],
    given: Given = UNKNOWN,
    *,
    temporal_smoothing: bool = False,
    mask: Tensor | None = None,
    upscale_model: Any = None,
    node: Any = None,
) -> Any:
    """The output of a node that restores: pictures, masks, crops before and after, boxes and count.

    chosen: those of a picture's faces that are restored. node: its class, on which what became of them is shown.
    """
    gpen_model.require("restoration", node="Restore Faces")
    if pictures.is_empty(image):
        return io.NodeOutput(image, image[..., 0], image, image, [], 0)
    images = pictures.check_images(image)
    blending, strength = settings.blending, settings.blending.strength
    # Where a result is the picture and the faces mixed by the strength, it is made at 1, kept, and mixed.
    kept = upscale_model is None and strength > 0 and blending.blend == "alpha" and not blending.grain
    if kept := kept and len(images) <= MOST_PICTURES:
        settings = replace(settings, blending=replace(blending, strength=1.0))
    asked = (image, mask, *given), (settings, gpen_model.card, chosen, temporal_smoothing)
    if kept and (made := gpen_model.latest.get(*asked)) is not None:
        adapter.say(node, made[-1])
        return io.NodeOutput(*_mixed(images, made, strength)[:-1])
    limit = _limits(images, mask, given.segs)
    larger = Larger() if upscale_model is None else enlarger(upscale_model, images)
    if upscale_model is None and _changes_nothing(settings, limit):
        height, width = (int(n) for n in images.shape[1:3])
        first = pictures.images_out([pictures.picture_at(images, 0)])
        nothing = pictures.Results(len(images), height, width).masks
        adapter.say(node, "nothing is to be changed")
        return io.NodeOutput(images, nothing, first, first, [[] for _ in range(len(images))], 0)
    restorer = prepared_restorer(gpen_model, settings.masking, detector=given.detector, images=images)
    progress, tally = Progress(2 * len(images)), Tally()
    each = tally.finding(find_faces(gpen_model, images, settings.selection, progress, given))
    faces = (chosen(faces) for faces in each)
    frames = (pictures.frame_at(images, index) for index in range(len(images)))
    smoothing = Smoothing() if temporal_smoothing else None
    if upscale_model is not None:
        results = _enlarged(restorer, images, faces, settings, larger, smoothing)
    elif smoothing is not None:
        results = _beside(images, restore_frames(frames, restorer, settings, smoothing=smoothing, detections=faces))
    else:
        results = _beside(images, restorer.restore_many(frames, settings, detections=faces, progress=progress.share))
    made = _collected(results, images, restorer, larger=larger, limit=limit, progress=progress, tally=tally)
    made = (*made, tally.words())
    trim_heap()
    if kept:
        gpen_model.latest.put(*asked, made)
        made = _mixed(images, made, strength)
    adapter.say(node, made[-1])
    return io.NodeOutput(*made[:-1])


def _mixed(images: Tensor, made: tuple[Any, ...], strength: float) -> tuple[Any, ...]:
    """What a node gives at this strength, of what it gives at 1."""
    restored, masks, *others = made
    if strength == 1:
        return made
    before = images[..., : restored.shape[-1]].to(restored).clamp(0, 1).expand_as(restored)
    return torch.lerp(before, restored, strength), masks * strength, *others


def _changes_nothing(settings: RestoreOptions, limit: Sequence[Tensor] | None) -> bool:
    return settings.blending.strength == 0 or (limit is not None and not any(bool(share.any()) for share in limit))


def prepared_restorer(model: FaceModel, masking: Masking, *, detector: bool, images: Tensor) -> FaceRestorer:
    """A restorer whose networks are on the compute device."""
    parser = model.parser(needed=masking.kind == "parser") if masking.kind in ("auto", "parser") else None
    model.prepare(
        detector=detector,
        parser=parser is not None,
        occluder=masking.occlusion,
        frame_pixels=images.shape[1] * images.shape[2],
    )
    return FaceRestorer(
        model.asked("network", pictures=len(images)),
        model.asked("detector", pictures=len(images)) if detector else None,
        None if parser is None else model.asked("parser", pictures=len(images)),
        occluder=model.asked("occluder", pictures=len(images)) if masking.occlusion else None,
    )


def _beside(
    images: Tensor, results: Iterable[RestoredPicture]
) -> Iterator[tuple[NDArray[np.float32], RestoredPicture]]:
    """Each result with what its picture was before, (H, W, 3)."""
    for index, result in enumerate(results):
        yield pictures.frame_at(images, index), result


def _enlarged(
    restorer: FaceRestorer,
    images: Tensor,
    found: Iterable[Sequence[Detection]],
    options: RestoreOptions,
    larger: Larger,
    smoothing: Smoothing | None,
) -> Iterator[tuple[NDArray[np.float32], RestoredPicture]]:
    """Each result with the enlarged picture that its faces were pasted into, (H·scale, W·scale, 3)."""
    bases: deque[NDArray[np.float32]] = deque()
    results: Iterable[RestoredPicture]

    def frames() -> Iterator[Picture]:
        return (as_picture(pictures.frame_at(images, index)) for index in range(len(images)))

    def canvases() -> Iterator[Picture]:
        for frame in frames():
            canvas = larger.canvas(frame)
            bases.append(canvas.pixels)
            yield canvas

    if smoothing is not None:
        keeping = Keeping(scale=larger.scale, upscaler=larger.upscaler, canvases=bases)
        results = restore_frames(frames(), restorer, options, smoothing=smoothing, detections=found, larger=keeping)
    else:
        plain = (larger.plain(frame) for frame in frames())
        placed = ([face.scaled(larger.scale, larger.scale) for face in faces] for faces in found)
        results = restorer.restore_many(plain, options, detections=placed, canvases=canvases())
    for result in results:
        yield bases.popleft(), result


def _collected(
    results: Iterable[tuple[NDArray[np.float32], RestoredPicture]],
    images: Tensor,
    restorer: FaceRestorer,
    *,
    larger: Larger,
    limit: Sequence[Tensor] | None,
    progress: Progress,
    tally: Tally,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Any, int]:
    """Pictures, masks, crops before and crops after, boxes and count; of faces that were left alone, nothing.

    larger: has made the pictures that the faces were cut from; limit: (H, W) for each picture, how much of it may
    change.
    """
    count, (height, width) = len(images), (int(side) * larger.scale for side in images.shape[1:3])
    out = pictures.Results(count, height, width, alpha=pictures.alpha_of(images))
    before, after = pictures.Crops(count), pictures.Crops(count)
    restored: list[list[Detection]] = []
    for index, (base, result) in enumerate(results):
        pixels = result.decoded.pixels
        picture = torch.from_numpy(pixels)
        changed = [face for face in result.faces if not face.spared]
        restored.append([face.detection for face in changed])
        tally.count(result.faces)
        out.cover(index, changed)
        if limit is not None and changed:
            share = pictures.mask_at(limit[index][None], 0, height, width)
            picture = torch.lerp(torch.from_numpy(base), picture, share[..., None])
            out.masks[index].mul_(share.to(out.masks))
        out.put(index, picture)
        crops = [(face.crop, face.restored) for face in changed]
        if any(crop is None for crop, _ in crops):
            # Faces averaged over frames are kept nowhere but in the result.
            size = changed[0].in_size
            seen = larger.plain(as_picture(pictures.frame_at(images, index)))
            both = (restorer.align(one, restored[-1], size=size).crops for one in (seen, pixels))
            crops = list(zip(*both, strict=True))
        for crop, made in crops:
            if crop is not None and made is not None:
                before.add(crop)
                after.add(made)
        progress.step(picture=picture)
    first = pictures.picture_at(images, 0)
    crops_out = before.images_or(first), after.images_or(first)
    return out.images, out.masks, *crops_out, boxes_out(restored), sum(len(faces) for faces in restored)


def _limits(images: Tensor, mask: Tensor | None, segs: Any) -> list[Tensor] | None:
    count, height, width = images.shape[:3]
    limits = None
    if mask is not None:
        mask = pictures.mask_given(mask, height, width)
    if mask is not None:
        limits = [pictures.mask_at(mask, index, height, width) for index in range(count)]
    if segs is not None:
        region = mask_of(check_segs(segs, height, width), height, width)
        limits = [region if limits is None else region * limits[index] for index in range(count)]
    return limits
