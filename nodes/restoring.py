"""Pictures on their way through a restoring node: what is asked before, made, mixed, and given out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..gpen_core.background import Larger
from ..gpen_core.faces.types import Detection
from ..gpen_core.film_options import Smoothing
from ..gpen_core.images import Picture, as_picture
from ..gpen_core.options import Masking, RestoreOptions
from ..gpen_core.restore import FaceRestorer, RestoredPicture
from ..gpen_core.video.frames import restore_frames
from . import adapter, pictures
from .adapter import Progress, io, trim_heap
from .boxes import boxes_out
from .enlarge import Keeping, enlarger
from .find import UNKNOWN, Given, find_faces
from .memory import MOST_PICTURES
from .model import FaceModel
from .segs import check_segs, mask_of
from .tally import Tally


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
    images, strength = pictures.check_images(image), settings.blending.strength
    if mixing := upscale_model is None and _is_mixed(settings, images):
        settings = settings.with_strength(1.0)
    asked = (image, mask, *given), (settings, gpen_model.card, chosen, temporal_smoothing)
    made = gpen_model.latest.get(*asked) if mixing else None
    if made is None:
        limit = _limits(images, mask, given.segs)
        if upscale_model is None and _changes_nothing(settings, limit):
            adapter.say(node, "nothing is to be changed")
            return io.NodeOutput(*_untouched(images))
        smoothing = Smoothing() if temporal_smoothing else None
        made = _restored(gpen_model, images, settings, chosen, given, smoothing, limit, upscale_model)
        trim_heap()
        if mixing:
            gpen_model.latest.put(*asked, made)
    if mixing:
        made = _mixed(images, made, strength)
    adapter.say(node, made[-1])
    return io.NodeOutput(*made[:-1])


def _is_mixed(settings: RestoreOptions, images: Tensor) -> bool:
    """Whether the result is the picture and the faces mixed by the strength: it is made at 1, kept, and mixed."""
    blending = settings.blending
    return blending.strength > 0 and blending.blend == "alpha" and not blending.grain and len(images) <= MOST_PICTURES


def _untouched(images: Tensor) -> tuple[Any, ...]:
    """What a node gives where nothing is changed."""
    height, width = (int(n) for n in images.shape[1:3])
    first = pictures.images_out([pictures.picture_at(images, 0)])
    nothing = pictures.Results(len(images), height, width).masks
    return images, nothing, first, first, [[] for _ in range(len(images))], 0


def _restored(
    model: FaceModel,
    images: Tensor,
    settings: RestoreOptions,
    chosen: Callable[[Sequence[Detection]], list[Detection]],
    given: Given,
    smoothing: Smoothing | None,
    limit: Sequence[Tensor] | None,
    upscale_model: Any,
) -> tuple[Any, ...]:
    """What `_collected` gives, and one line on what became of the faces."""
    larger = Larger() if upscale_model is None else enlarger(upscale_model, images)
    restorer = prepared_restorer(model, settings.masking, detector=given.detector, images=images)
    progress, tally = Progress(2 * len(images)), Tally()
    found = tally.finding(find_faces(model, images, settings.selection, progress, given))
    faces = (chosen(faces) for faces in found)
    if upscale_model is None:
        results = _beside(images, _in_their_size(restorer, images, faces, settings, smoothing, progress))
    else:
        results = _enlarged(restorer, images, faces, settings, larger, smoothing)
    made = _collected(results, images, restorer, larger=larger, limit=limit, progress=progress, tally=tally)
    return *made, tally.words()


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


def _in_their_size(
    restorer: FaceRestorer,
    images: Tensor,
    found: Iterable[Sequence[Detection]],
    options: RestoreOptions,
    smoothing: Smoothing | None,
    progress: Progress,
) -> Iterable[RestoredPicture]:
    frames = (pictures.frame_at(images, index) for index in range(len(images)))
    if smoothing is not None:
        return restore_frames(frames, restorer, options, smoothing=smoothing, detections=found)
    return restorer.restore_many(frames, options, detections=found, progress=progress.share)


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
        crops = [(face.crop, face.restored) for face in changed if face.crop is not None and face.restored is not None]
        for crop, made in crops:
            before.add(crop)
            after.add(made)
        if len(crops) < len(changed):
            # Faces averaged over frames are kept nowhere but in the result.
            seen = larger.plain(as_picture(pictures.frame_at(images, index)))
            for one, gathered in ((seen, before), (pixels, after)):
                for crop in restorer.align(one, restored[-1], size=changed[0].in_size).crops:
                    gathered.add(crop)
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
