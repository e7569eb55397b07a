"""A photograph in, the same photograph with its faces restored out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor

from ..config import GPENConfig, ModelCard
from ..errors import DeviceError, InputError
from ..faces import levels
from ..faces.geometry import fit_similarity, template
from ..faces.planes import planes_of
from ..faces.select import select
from ..faces.sharpen import sharpened
from ..faces.types import Detection, FaceCrops
from ..faces.warp import crop_faces
from ..images import as_picture, to_srgb
from ..options import Masking, RestoreOptions, Selection
from .detect import Detector, find_faces
from .masks import CropMasks, Parser, masks_for
from .paste import PictureWork
from .result import RestoredFace, RestoredPicture
from .run import BatchSizer, device_of, run_network

__all__ = ["CropMasks", "Detection", "FaceCrops", "FaceRestorer", "Model", "RestoredFace", "RestoredPicture"]

#: Faces done, faces found so far. What it raises ends the run: that is how to cancel.
Progress = Callable[[int, int], None]

#: Pictures held at a time, those without faces included.
_HELD = 16
#: Where the caller gives the mask, the crop's own edge is all that is left to soften.
_WHOLE_CROP = Masking(kind="box", margin=4 / 512, feather=2 / 512)


class Model(Protocol):
    """What a restorer needs to know of a network: `GPEN`, `PreparedGPEN`, or anything that is called alike."""

    @property
    def config(self) -> GPENConfig:
        """With its `in_size` and `out_size`."""

    @property
    def card(self) -> ModelCard:
        """With the value range, template and border that its weights expect."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """(B, 3, out_size, out_size) of (B, 3, in_size, in_size), both in the card's value range."""


class FaceRestorer:
    """Finds, straightens, restores and puts back faces.

    model: a network as `load_model` gives it, or the caller's own (see `Model`). detector: (B, 3, H, W) RGB in [0, 1]
    → a list of Detection per picture. parser: (N, 3, S, S) in [0, 1] → (N, S, S), integers being CelebAMask-HQ's
    labels and floats a mask; it is asked at its attribute `size`, else at 512 px. Without a detector, or without a
    parser where the options need one, the usual one is loaded when first used.
    """

    def __init__(self, model: Model, detector: Detector | None = None, parser: Parser | None = None) -> None:
        self.model = model
        self.detector = detector
        self.parser = parser

    def detect(self, picture: Any, selection: Selection | None = None) -> list[Detection]:
        """The faces of a picture that `selection` lets through, in pixels of the picture."""
        if self.detector is None:
            from ..weights import load_detector

            self.detector = load_detector()
        selection = selection or Selection()
        return select(find_faces(self.detector, as_picture(picture), selection), selection)

    def align(self, picture: Any, detections: Sequence[Detection], options: RestoreOptions | None = None) -> FaceCrops:
        """The straightened crops of these faces, at the network's input size, in sRGB."""
        options, picture = options or RestoreOptions(), as_picture(picture)
        size, card = self.model.config.in_size, self.model.card
        height, width = picture.pixels.shape[:2]
        if not detections:
            empty = torch.zeros(0, 2, 3, dtype=torch.float64)
            return FaceCrops(
                crops=torch.zeros(0, 3, size, size), affines=empty, detections=(), picture_size=(height, width)
            )
        target = template(options.template or card.template, size)
        affines = fit_similarity([face.landmarks for face in detections], target, options.fit)
        planes = planes_of(picture.pixels)
        border = options.border or card.border
        full_scale = picture.full_scale
        crops = crop_faces(planes, affines, size, border, antialias=options.antialias, full_scale=full_scale)
        crops = to_srgb(crops, picture.icc_profile)
        if options.eight_bits:
            levels.round_(crops)
        return FaceCrops(crops=crops, affines=affines, detections=tuple(detections), picture_size=(height, width))

    def run(self, crops: Tensor, options: RestoreOptions | None = None, *, progress: Progress | None = None) -> Tensor:
        """Restored faces (N, 3, out_size, out_size) in [0, 1] of crops (N, 3, in_size, in_size) in [0, 1]."""
        options = options or RestoreOptions()
        sizer, outputs = BatchSizer(options.batch_size, device_of(self.model)), []
        done = 0
        while done < len(crops):
            began = time.perf_counter()
            part = crops[done : done + sizer.next(crops.shape[-1])]
            outputs.append(self._restored(part, options, sizer))
            done += len(part)
            sizer.took(len(part), time.perf_counter() - began)
            if progress is not None:
                progress(done, len(crops))
        size = self.model.config.out_size
        return torch.cat(outputs) if outputs else crops.new_zeros(0, 3, size, size)

    def masks(self, faces: FaceCrops, restored: Tensor, options: RestoreOptions | None = None) -> CropMasks:
        """How much of each restored face (N, 3, T, T) goes back."""
        options = options or RestoreOptions()
        return masks_for(
            faces, restored, self._parser_for(options), options, BatchSizer(options.batch_size, device_of(self.model))
        )

    def paste(
        self,
        picture: Any,
        faces: FaceCrops,
        restored: Tensor,
        masks: CropMasks,
        options: RestoreOptions | None = None,
        *,
        in_place: bool = False,
    ) -> RestoredPicture:
        """The picture with restored faces (N, 3, T, T) in [0, 1] put back where their crops came from.

        in_place: into the pixels of a Picture that the caller has no other use for.
        """
        options = options or RestoreOptions()
        work = PictureWork(picture, as_picture(picture), faces.detections)
        work.add(faces, restored, masks, options)
        return work.result(options, in_place=in_place)

    def restore(
        self,
        picture: Any,
        options: RestoreOptions | None = None,
        *,
        detections: Sequence[Detection] | None = None,
        masks: Any = None,
        progress: Progress | None = None,
    ) -> RestoredPicture:
        """The picture with its faces restored.

        picture: path, PIL image, (H, W, 3) uint8, uint16 or float array, (3, H, W) tensor, or Picture.
        detections: the faces, instead of the detector's; all of them are restored. masks: (H, W) for all faces or
        (N, H, W) in [0, 1], instead of the options' masks. progress: called after each batch.
        Raises PictureError, InputError or FaceError for what cannot be read or is no face.
        """
        given = None if detections is None else [detections]
        results = self.restore_many(
            [picture], options, detections=given, masks=None if masks is None else [masks], progress=progress
        )
        return next(iter(results))

    def restore_many(
        self,
        pictures: Iterable[Any],
        options: RestoreOptions | None = None,
        *,
        detections: Iterable[Sequence[Detection] | None] | None = None,
        masks: Iterable[Any] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[RestoredPicture]:
        """The pictures with their faces restored, in order; faces of several pictures share a batch.

        detections, masks: one entry per picture, as `restore` takes them, None where there is none. Only the pictures
        of one batch, and a few without faces between them, are held at a time.
        """
        options = options or RestoreOptions()
        size = self.model.config.in_size
        sizer = BatchSizer(options.batch_size, device_of(self.model))
        held: deque[PictureWork] = deque()
        waiting: deque[tuple[PictureWork, int]] = deque()
        found = done = 0
        for work in self._works(pictures, options, detections, masks):
            held.append(work)
            waiting.extend((work, index) for index in range(len(work.detections)))
            found += len(work.detections)
            while len(waiting) >= sizer.next(size) or (waiting and len(held) >= _HELD):
                done += self._do_batch(waiting, options, sizer)
                if progress is not None:
                    progress(done, found)
            while held and held[0].complete:
                yield held.popleft().result(options)
        while waiting:
            done += self._do_batch(waiting, options, sizer)
            if progress is not None:
                progress(done, found)
            while held and held[0].complete:
                yield held.popleft().result(options)

    def _works(
        self,
        pictures: Iterable[Any],
        options: RestoreOptions,
        detections: Iterable[Sequence[Detection] | None] | None,
        masks: Iterable[Any] | None,
    ) -> Iterator[PictureWork]:
        some_detections, some_masks = iter(detections or ()), iter(masks or ())
        for given in pictures:
            picture = as_picture(given)
            faces = next(some_detections, None)
            if faces is None:
                faces = self.detect(picture, options.selection)
            yield PictureWork(given, picture, faces, next(some_masks, None))

    def _do_batch(self, waiting: deque[tuple[PictureWork, int]], options: RestoreOptions, sizer: BatchSizer) -> int:
        """Number of faces done: the next of `waiting`, as many as one batch takes."""
        began = time.perf_counter()
        count = min(sizer.next(self.model.config.in_size), len(waiting))
        parts: list[tuple[PictureWork, FaceCrops]] = []
        batch = [waiting.popleft() for _ in range(count)]
        for work, group in groupby(batch, key=lambda entry: entry[0]):
            detections = [work.detections[index] for _, index in group]
            parts.append((work, self.align(work.picture, detections, options)))
        crops = [crops.crops for _, crops in parts]
        restored = self._restored(crops[0] if len(crops) == 1 else torch.cat(crops), options, sizer)
        first = 0
        for work, faces in parts:
            outputs = restored[first : first + len(faces)]
            work.add(faces, outputs, self._masks(work, faces, outputs, options, sizer), options)
            first += len(faces)
        sizer.took(count, time.perf_counter() - began)
        return count

    def _masks(
        self, work: PictureWork, faces: FaceCrops, restored: Tensor, options: RestoreOptions, sizer: BatchSizer
    ) -> CropMasks:
        if work.has_masks:
            options = replace(options, masking=_WHOLE_CROP)
        return masks_for(faces, restored, self._parser_for(options), options, sizer)

    def _parser_for(self, options: RestoreOptions) -> Parser | None:
        if self.parser is None and (options.masking.kind == "parser" or options.blending.region_strength):
            from ..weights import load_parser

            self.parser = load_parser()
        return self.parser

    def _restored(self, crops: Tensor, options: RestoreOptions, sizer: BatchSizer) -> Tensor:
        """(N, 3, T, T) in [0, 1]."""
        low, high = self.model.card.value_range
        size = self.model.config.out_size
        inputs = torch.add(crops.new_tensor(low), crops, alpha=high - low)
        outputs = run_network(self.model, inputs, sizer)
        if tuple(outputs.shape) != (len(crops), 3, size, size):
            raise InputError(
                f"the network gave shape {tuple(outputs.shape)}; its configuration says {(len(crops), 3, size, size)}"
            )
        if not bool(torch.isfinite(outputs.sum(dtype=torch.float32))):  # NaN and infinity survive a sum
            raise DeviceError("the network's result is not finite; load the model with precision='fp32'")
        outputs = (
            torch.add(outputs.new_tensor(-low / (high - low)), outputs, alpha=1 / (high - low)).float().clamp_(0, 1)
        )
        amount = self.model.card.sharpen if options.sharpen is None else options.sharpen
        if amount:
            outputs = sharpened(outputs, crops, amount)
        return levels.truncate_(outputs) if options.eight_bits else outputs
