"""A photograph in, the same photograph with its faces restored out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from os import PathLike
from typing import Any, Literal

import torch
from torch import Tensor

from ..contracts import Detector, Model, Occluder, Parser, device_of, sizes_for
from ..errors import InputError
from ..faces.occlusion import CONTRADICTION
from ..faces.types import Detection, FaceCrops
from ..images import PictureLike, as_picture
from ..options import Masking, RestoreOptions, Selection
from .align import align_faces, check_aligned, take_whole, whole_face
from .detect import find_faces_together, find_numbered
from .masks import CropMasks, masks_for
from .paste import PictureWork, StrengthOf, Unpasted
from .queue import Batch, FaceQueue
from .result import RestoredPicture
from .run import BatchSizer, Prepare, run_faces

#: Faces done, faces found so far. What it raises ends the run: that is how to cancel.
Progress = Callable[[int, int], None]

#: What several threads need first is loaded by one of them.
_loading = threading.Lock()
#: Where the caller gives the mask, the crop's own edge is all that is left to soften.
_WHOLE_CROP = Masking(kind="box", margin=4 / 512, feather=2 / 512)


class FaceRestorer:
    """Finds, straightens, restores and puts back faces.

    model, detector, parser: as `load_model`, `load_detector` and `load_parser` give them, or the caller's own; what
    each guarantees stands in `gpen_core.contracts`. Without a detector, or without a parser where the options need one,
    the usual one is loaded when first used. occluder: tells what covers a face, for `Masking.occlusion`: as
    `load_occluder` gives it, or the caller's own; None: the one that ships, loaded when first used; "contradiction": no
    network, but where the restored face contradicts the picture. prepare: what the model is shown of crops (N, 3, S, S)
    in [0, 1], for tasks that do not show it the crops themselves.
    """

    def __init__(
        self,
        model: Model,
        detector: Detector | None = None,
        parser: Parser | None = None,
        *,
        occluder: Occluder | Literal["contradiction"] | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        self.model = model
        self.detector = detector
        self.parser = parser
        if isinstance(occluder, str) and occluder != CONTRADICTION:
            raise InputError(f"occluder is {occluder!r}; give what load_occluder gives, or {CONTRADICTION!r}")
        self.occluder = occluder
        self._prepare = prepare

    def detect(self, picture: PictureLike, selection: Selection | None = None) -> list[Detection]:
        """The faces of a picture that `selection` lets through, in pixels of the picture."""
        return self.detect_together([picture], selection)[0]

    def detect_together(
        self, pictures: Sequence[PictureLike], selection: Selection | None = None
    ) -> list[list[Detection]]:
        """The faces of each of several pictures of one size, as the frames of a film are."""
        return find_faces_together(self._loaded_detector(), list(map(as_picture, pictures)), selection or Selection())

    def align(
        self,
        picture: PictureLike,
        detections: Sequence[Detection],
        options: RestoreOptions | None = None,
        *,
        size: int | None = None,
    ) -> FaceCrops:
        """The straightened crops of these faces, in sRGB, at `size` px: an input size of the model; None: its first."""
        size = self.model.config.in_size if size is None else size
        return align_faces(as_picture(picture), detections, size, self.model.card, RestoreOptions.of(options))

    def run(self, crops: Tensor, options: RestoreOptions | None = None, *, progress: Progress | None = None) -> Tensor:
        """Restored faces (N, 3, out_size, out_size) in [0, 1] of crops (N, 3, in_size, in_size) in [0, 1]; of a model
        of two sizes, by the network of that size.
        """
        options = RestoreOptions.of(options)
        sizer, outputs = self._sizer(options), []
        done = 0
        while done < len(crops):
            began = time.perf_counter()
            part = crops[done : done + sizer.next(crops.shape[-1])]
            outputs.append(run_faces(self.model, part, options, sizer, self._prepare))
            done += len(part)
            sizer.took(len(part), time.perf_counter() - began)
            if progress is not None:
                progress(done, len(crops))
        size = sizes_for(self.model, crops.shape[-1]).out_size
        return torch.cat(outputs) if outputs else crops.new_zeros(0, 3, size, size)

    def masks(self, faces: FaceCrops, restored: Tensor, options: RestoreOptions | None = None) -> CropMasks:
        """How much of each restored face (N, 3, T, T) goes back."""
        options = RestoreOptions.of(options)
        parser, occluder = self._parser_for(options), self._occluder_for(options)
        return masks_for(faces, restored, parser, options, self._sizer(options), occluder)

    def paste(
        self,
        picture: PictureLike,
        faces: FaceCrops,
        restored: Tensor,
        masks: CropMasks,
        options: RestoreOptions | None = None,
        *,
        canvas: PictureLike | None = None,
        in_place: bool = False,
    ) -> RestoredPicture:
        """The picture with restored faces (N, 3, T, T) in [0, 1] put back where their crops came from.

        canvas: what they are put into, where it is not the picture. in_place: into the pixels of a Picture that the
        caller has no other use for.
        """
        options = RestoreOptions.of(options)
        canvas = None if canvas is None else as_picture(canvas)
        work = PictureWork(picture, as_picture(picture), dict(enumerate(faces.detections)), canvas=canvas)
        work.add(faces, restored, masks, options)
        return work.result(options, in_place=in_place)

    def restore(
        self,
        picture: PictureLike,
        options: RestoreOptions | None = None,
        *,
        detections: Sequence[Detection] | None = None,
        masks: Any = None,
        within: Any = None,
        aligned: bool = False,
        strength_of: StrengthOf | None = None,
        progress: Progress | None = None,
    ) -> RestoredPicture:
        """The picture with its faces restored.

        picture: path, PIL image, (H, W, 3) uint8, uint16 or float array, (3, H, W) tensor, or Picture.
        detections: the faces, instead of the detector's; all of them are restored. masks: (H, W) for all faces or
        (N, H, W) in [0, 1], instead of the options' masks. within: (H, W) in [0, 1], how much of each pixel may change,
        on top of any mask. aligned: the picture is one straightened face, which goes
        back whole unless the options' masking says otherwise. strength_of: of each face by its crop, its result and
        what the options say. progress: called after each batch.
        Raises PictureError, InputError or FaceError for what cannot be read or is no face, ConfigError for an option
        that an aligned face cannot honour.
        """
        results = self.restore_many(
            [picture],
            options,
            detections=None if detections is None else [detections],
            masks=None if masks is None else [masks],
            within=None if within is None else [within],
            aligned=aligned,
            strength_of=strength_of,
            progress=progress,
        )
        return next(iter(results))

    def restore_many(
        self,
        pictures: Iterable[PictureLike],
        options: RestoreOptions | None = None,
        *,
        detections: Iterable[Sequence[Detection] | None] | None = None,
        masks: Iterable[Any] | None = None,
        within: Iterable[Any] | None = None,
        canvases: Iterable[PictureLike | None] | None = None,
        aligned: bool = False,
        strength_of: StrengthOf | None = None,
        progress: Progress | None = None,
    ) -> Iterator[RestoredPicture]:
        """The pictures with their faces restored, in order; faces of several pictures share a batch.

        detections, masks, within: one entry per picture, as `restore` takes them, None where there is none. canvases:
        what the faces of each picture are put into, where it is not the picture: one of the same size, or of any size
        where pictures are aligned faces. aligned, strength_of: as `restore` takes them, for all. Only the pictures of
        one batch, and a few without faces between them, are held at a time.
        """
        parts = (detections, masks, within, canvases)
        for work in self.unpasted(
            pictures, options, parts, aligned=aligned, strength_of=strength_of, progress=progress
        ):
            yield work.result

    def unpasted(
        self,
        pictures: Iterable[PictureLike],
        options: RestoreOptions | None = None,
        parts: Sequence[Iterable[Any] | None] = (),
        *,
        aligned: bool = False,
        strength_of: StrengthOf | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Unpasted]:
        """What `restore_many` gives, with pasting left to whoever asks for a result, in whatever process.

        parts: detections, masks, within and canvases, as `restore_many` takes them.
        """
        options = RestoreOptions.of(options)
        if isinstance(pictures, str | PathLike):
            raise InputError(f"pictures is one, {str(pictures)!r}; give a list, or `restore` what is one picture")
        if aligned:
            check_aligned(options)
        queue, done = FaceQueue(self.model, partial(self._sizer, options)), 0
        works = self._works(pictures, parts, options, aligned, strength_of)
        for work in chain(works, [None]):
            if work is not None:
                queue.add(work)
            full = work is None or queue.full
            while (batch := queue.next(full=full)) is not None:
                self._do_batch(batch, options)
                done += len(batch.faces)
                if progress is not None:
                    progress(done, queue.found)
                yield from (Unpasted(complete, options) for complete in queue.completed())
            yield from (Unpasted(complete, options) for complete in queue.completed())

    def _works(
        self,
        pictures: Iterable[PictureLike],
        given_parts: Sequence[Iterable[Any] | None],
        options: RestoreOptions,
        aligned: bool,
        strength_of: StrengthOf | None,
    ) -> Iterator[PictureWork]:
        """given_parts: detections, masks, what may change, and canvases, as far as they go."""
        parts = [iter(part or ()) for part in (*given_parts, *[None] * 4)[:4]]
        for given in pictures:
            picture = as_picture(given)
            faces, masks, within, canvas = (next(part, None) for part in parts)
            if faces is not None:
                faces = dict(enumerate(faces))
            elif aligned:
                faces = {0: whole_face(picture, self.model.card)}
            else:
                faces = find_numbered(self._loaded_detector(), picture, options.selection)
            canvas = None if canvas is None else as_picture(canvas)
            how: dict[str, Any] = {"masks": masks, "within": within, "canvas": canvas}
            yield PictureWork(given, picture, faces, aligned=aligned, strength_of=strength_of, **how)

    def _do_batch(self, batch: Batch, options: RestoreOptions) -> None:
        began, (waiting, size, sizer) = time.perf_counter(), batch
        card = self.model.card
        parts: list[tuple[PictureWork, FaceCrops]] = []
        for work, group in groupby(waiting, key=lambda entry: entry[0]):
            detections = [work.detections[index] for _, index in group]
            cut = take_whole if work.aligned else align_faces
            parts.append((work, cut(work.picture, detections, size, card, options)))
        crops = [crops.crops for _, crops in parts]
        restored = run_faces(
            self.model, crops[0] if len(crops) == 1 else torch.cat(crops), options, sizer, self._prepare
        )
        first = 0
        for work, faces in parts:
            outputs = restored[first : first + len(faces)]
            masked = options
            if work.has_masks:
                masked = replace(options, masking=replace(_WHOLE_CROP, occlusion=options.masking.occlusion))
            parser, occluder = self._parser_for(masked), self._occluder_for(masked)
            masks = masks_for(faces, outputs, parser, masked, sizer, occluder)
            work.add(faces, outputs, masks, options)
            first += len(faces)
        sizer.took(len(waiting), time.perf_counter() - began)

    def _sizer(self, options: RestoreOptions) -> BatchSizer:
        return BatchSizer(options.batch_size, device_of(self.model))

    def told(self, options: RestoreOptions | None = None) -> dict[str, str | None]:
        """What tells the detector from others, and so the parser and the occluder that `options` ask, where they are
        given; None for what is not asked. Each is loaded if it is not yet."""
        from .provenance import told_of

        told = {"detector": told_of(self._loaded_detector())}
        if options is None:
            return told
        occluder = self._occluder_for(options) or (self.occluder if options.masking.occlusion else None)
        return {**told, "parser": told_of(self._parser_for(options)), "occluder": told_of(occluder)}

    def _loaded_detector(self) -> Detector:
        with _loading:
            if self.detector is None:
                from ..weights import load_detector

                self.detector = load_detector()
        return self.detector

    def _parser_for(self, options: RestoreOptions) -> Parser | None:
        with _loading:
            if self.parser is None and options.needs_parser:
                from ..weights import load_parser

                self.parser = load_parser()
        return self.parser

    def _occluder_for(self, options: RestoreOptions) -> Occluder | None:
        """None where nobody asks, or what contradicts is covered."""
        if not options.masking.occlusion or isinstance(self.occluder, str):
            return None
        with _loading:
            if self.occluder is None:
                from ..weights import load_occluder

                self.occluder = load_occluder(device=device_of(self.model))
        return self.occluder
