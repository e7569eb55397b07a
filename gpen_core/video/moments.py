"""Frames on their way through detection, tracks, network and smoothing, in blocks, from arrays to arrays."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..contracts import device_of
from ..faces.types import Detection
from ..film_options import BLOCK, Smoothing
from ..images import Picture, as_picture
from ..images.planes import resize
from ..options import RestoreOptions
from ..restore import FaceRestorer, RestoredPicture
from ..restore.align import size_for
from ..restore.masks import CropMasks
from ..restore.run import most_faces
from .choice import TrackChoice
from .colours import Change
from .flicker import Flicker, Unrest
from .looking import find_in_film
from .neighbours import Moment, over_time, placed
from .sizes import usual_side
from .smoothing import motion_view
from .tracks import Tracker

if TYPE_CHECKING:
    from ..background import Larger
    from ..measures.identity import Identity
    from ..measures.person import Person


@dataclass(frozen=True, kw_only=True, eq=False)
class DoneFrame:
    """A frame's result. picture: with its faces restored; faces: these, in the order of `numbers`, their tracks;
    changes: where the picture was changed. cut: a scene begins here.

    missed: tracks that the detector missed here. unrest: see `Flicker.add`; identities: cosines of embeddings before
    and after; both by track, where they were measured.
    """

    index: int
    picture: Picture
    faces: tuple[Detection, ...]
    changes: tuple[Change, ...]
    numbers: tuple[int, ...]
    cut: bool
    missed: frozenset[int] = frozenset()
    unrest: Mapping[int, Unrest] = field(default_factory=dict)
    identities: Mapping[int, float] = field(default_factory=dict)
    result: RestoredPicture | None = None


class FrameRestoration:
    """Restores frames given in order; what it gives out lags two blocks behind, and is pasted as it is asked for, which
    another thread may do, in order.

    smoothing: None restores every frame by itself. owned: whether the pixels that are pushed may be written to; results
    are then in them. larger: makes results larger, None where they keep their size. identity: compares each eighth
    frame's faces before and after; person: whose faces are restored; it, like `only_damaged`, decides once for a track,
    by its first frames. crop_size: of the model's input sizes, the same for all frames; None: the one for the usual
    side of the faces in the first blocks that have any. detect_every: see `find_in_film`. With the same frames,
    options and blocks the results are the same, also when the work was taken up again from `state` at the end of a
    block.
    """

    def __init__(
        self,
        restorer: FaceRestorer,
        options: RestoreOptions | None = None,
        smoothing: Smoothing | None = None,
        *,
        owned: bool = False,
        larger: Larger | None = None,
        identity: Identity | None = None,
        person: Person | None = None,
        crop_size: int | None = None,
        detect_every: int = 1,
    ) -> None:
        self._crop_size, self._detect_every = crop_size, detect_every
        self._restorer, self._owned, self._larger, self._identity = restorer, owned, larger, identity
        options = RestoreOptions.of(options)
        self._choice = TrackChoice(person, only_damaged=options.blending.only_damaged)
        self._options = replace(options, keep_crops=False, blending=replace(options.blending, only_damaged=False))
        self._smoothing = smoothing
        self._tracker = Tracker(smoothing.longest_gap if smoothing else 0)
        self._blocks: list[list[Moment]] = []
        self._restored_blocks = self._done_blocks = 0
        self._trackers: list[tuple[dict[str, Tensor], dict[str, Any]]] = []
        self.flicker = Flicker()

    @property
    def spared(self) -> tuple[int, ...]:
        """Tracks that are left as they are, so far."""
        return self._choice.spared

    def push(
        self, frames: Sequence[tuple[int, float, Any]], detections: Sequence[Sequence[Detection]] | None = None
    ) -> Iterator[DoneFrame] | None:
        """Takes the next block: (index, time in seconds, picture) per frame; gives the block that is done, if any.

        detections: the faces of each frame, instead of the detector's.
        """
        pictures, least = [as_picture(picture) for _, _, picture in frames], 0.0
        if detections is None:
            plain, times = [self._plain(picture) for picture in pictures], [time for _, time, _ in frames]
            selection, least = self._options.selection, self._options.selection.threshold
            detections = find_in_film(self._restorer, plain, times, selection, self._detect_every)
        seen = zip(frames, pictures, detections, strict=True)
        self._blocks.append([self._observe(*frame[:2], picture, faces, least) for frame, picture, faces in seen])
        self._trackers.append(self._tracker.state())
        if self._restored_blocks < len(self._blocks) - 1:
            self._restore(self._restored_blocks)
        return self._finish() if self._done_blocks < self._restored_blocks - 1 else None

    def drain(self) -> Iterator[Iterator[DoneFrame]]:
        """The blocks still under way, after the last `push`."""
        while self._restored_blocks < len(self._blocks):
            self._restore(self._restored_blocks)
            if self._done_blocks < self._restored_blocks - 1:
                yield self._finish()
        while self._done_blocks < len(self._blocks):
            yield self._finish()

    def _observe(self, index: int, time: float, picture: Picture, faces: Sequence[Detection], least: float) -> Moment:
        found, cut = self._tracker.follow(index, self._plain(picture).pixels, faces, least)
        return Moment(index=index, time=time, picture=picture, found=found, cut=cut)

    def _plain(self, picture: Picture) -> Picture:
        """What faces are found in and cut from."""
        return picture if self._larger is None else self._larger.plain(picture)

    def _restore(self, number: int) -> None:
        near = [m for block in self._blocks[max(0, number - 1) : number + 2] for m in block]
        block = self._blocks[number]
        if self._crop_size is None and (side := usual_side(moment.found.values() for moment in near)) is not None:
            self._crop_size = size_for(self._restorer.model, side)
        first = near.index(block[0])
        for k, moment in enumerate(block, first):
            wanted = placed(near, k, self._smoothing)
            assert moment.picture is not None
            moment.numbers = tuple(wanted)
            plain, faces = self._plain(moment.picture), list(wanted.values())
            moment.faces = self._restorer.align(plain, faces, self._options, size=self._crop_size)
        if self._choice.chooses:
            self._choose(block)
        crops = torch.cat([m.faces.crops for m in block if m.faces is not None])
        outputs = self._run(crops)
        start = 0
        for moment in block:
            assert moment.faces is not None
            moment.restored = outputs[start : start + len(moment.faces)].clone()
            start += len(moment.faces)
            moment.views = motion_view(moment.restored)
            moment.masks = self._restorer.masks(moment.faces, moment.restored, self._options)
        self._restored_blocks += 1

    def _choose(self, block: Sequence[Moment]) -> None:
        """Lets go of the faces of `block` that stay as they are."""
        shown = [(m.numbers, m.faces.crops) for m in block if m.faces is not None]
        meant = self._choice.meant(shown)
        for moment in block:
            assert moment.faces is not None
            rows = [row for row, number in enumerate(moment.numbers) if number in meant]
            moment.faces = moment.faces.only(rows)
            moment.numbers = tuple(moment.numbers[row] for row in rows)

    def _run(self, crops: Tensor) -> Tensor:
        # A float's last bit may depend on how many there are: always as many, so that a film that is taken up again
        # gets the same frames.
        size = most_faces(device_of(self._restorer.model), crops.shape[-1])
        parts = [self._restorer.run(part, self._options) for part in torch.split(crops, size)] if len(crops) else []
        return torch.cat(parts) if parts else self._restorer.run(crops, self._options)

    def _finish(self) -> Iterator[DoneFrame]:
        number = self._done_blocks
        blocks = self._blocks[max(0, number - 1) : number + 2]
        # As they are now: what is let go of here is pasted later.
        near = [copy.copy(moment) for block in blocks for moment in block]
        first = len(blocks[0]) if number else 0
        done = (self._pasted(near, k) for k in range(first, first + len(self._blocks[number])))
        self._let_go(self._blocks[number])
        if number:
            # The block before has served its last neighbour.
            del self._blocks[0], self._trackers[0]
            self._restored_blocks -= 1
        else:
            self._done_blocks = 1
        return done

    def _let_go(self, block: Sequence[Moment]) -> None:
        """Keeps of a finished block only what the smoothing of the next one looks back at."""
        kept = self._smoothing.crop_reach if self._smoothing else 0
        for moment in block:
            moment.picture = moment.faces = None
        for moment in block[: max(0, len(block) - kept)]:
            moment.numbers = ()
            moment.restored = moment.views = moment.masks = None

    def _pasted(self, near: Sequence[Moment], at: int) -> DoneFrame:
        moment = near[at]
        faces, restored, masks = moment.faces, moment.restored, moment.masks
        assert moment.picture is not None
        assert faces is not None
        assert restored is not None
        assert masks is not None
        plain = restored
        if self._smoothing is not None and len(restored):
            parsed = self._restorer.parser is not None and self._options.masking.kind in ("auto", "parser")
            restored, masks = over_time(near, at, self._smoothing, parsed=parsed)
        unrest = self.flicker.add(moment.numbers, plain, restored, faces.crops, masks.masks)
        identities = self._identities(moment, faces.crops, restored)
        seen = self._plain(moment.picture)
        canvas = None if self._larger is None else self._larger.canvas(moment.picture)
        owned = self._owned or canvas is not None
        result = self._restorer.paste(seen, faces, restored, masks, self._options, canvas=canvas, in_place=owned)
        return DoneFrame(
            index=moment.index,
            picture=result.decoded,
            faces=tuple(faces.detections),
            changes=tuple((face.rectangle, (face.mask > 0).numpy()) for face in result.faces if face.mask.numel()),
            numbers=moment.numbers,
            cut=moment.cut,
            missed=frozenset(moment.numbers) - moment.found.keys(),
            unrest=unrest,
            identities=identities,
            result=result,
        )

    def _identities(self, moment: Moment, crops: Tensor, restored: Tensor) -> dict[int, float]:
        if self._identity is None or moment.index % BLOCK or not len(crops):
            return {}
        before = resize(crops, restored.shape[-1])
        after = torch.lerp(before, restored, self._options.blending.strength)
        return dict(zip(moment.numbers, self._identity.similarity(before, after).tolist(), strict=True))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `resume` needs to go on after the last block given out and taken: tensors, and JSON values."""
        block = self._blocks[self._done_blocks - 1]
        tensors, values = self._trackers[self._done_blocks - 1]
        tensors, moments = dict(tensors), []
        for k, moment in enumerate(block):
            found = []
            for number, face in moment.found.items():
                tensors[f"{k}.found.{number}.box"], tensors[f"{k}.found.{number}.landmarks"] = face.box, face.landmarks
                found.append([number, face.score])
            if moment.restored is not None and moment.views is not None and moment.masks is not None:
                tensors[f"{k}.restored"], tensors[f"{k}.views"] = moment.restored, moment.views
                for row, mask in enumerate(moment.masks.masks):
                    tensors[f"{k}.mask.{row}"] = mask
            moments.append(
                {
                    "index": moment.index,
                    "time": moment.time,
                    "cut": moment.cut,
                    "found": found,
                    "numbers": list(moment.numbers),
                }
            )
        more, figures = self.flicker.state()
        chosen = {"choice": self._choice.state()} if self._choice.chooses else {}
        return {**tensors, **more}, {
            "tracker": values,
            "moments": moments,
            "flicker": figures,
            **chosen,
            "crop_size": self._crop_size,
        }

    def resume(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Goes on from a `state`; nothing must have been pushed yet."""
        block = []
        for k, saved in enumerate(values["moments"]):
            found = {
                number: Detection(
                    box=tensors[f"{k}.found.{number}.box"],
                    landmarks=tensors[f"{k}.found.{number}.landmarks"],
                    score=score,
                )
                for number, score in saved["found"]
            }
            moment = Moment(
                index=saved["index"], time=saved["time"], cut=saved["cut"], found=found, numbers=tuple(saved["numbers"])
            )
            if moment.numbers:
                moment.restored, moment.views = tensors[f"{k}.restored"], tensors[f"{k}.views"]
                moment.masks = CropMasks(masks=[tensors[f"{k}.mask.{row}"] for row in range(len(moment.numbers))])
            block.append(moment)
        self._tracker = Tracker.from_state(tensors, values["tracker"])
        self._blocks, self._trackers = [block], [self._tracker.state()]
        self._restored_blocks = self._done_blocks = 1
        self.flicker = Flicker.from_state(tensors, values["flicker"])
        self._choice.resume(values.get("choice", {}))
        self._crop_size = values.get("crop_size", self._crop_size)
