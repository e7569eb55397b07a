"""A model of one person: faces cut out of photographs, a model fine-tuned on most of them, and judged on the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .contracts import Detector
from .data import Degradation
from .errors import FaceError, GPENError, InputError, WeightsError
from .images import Picture, read_picture, write_picture
from .images.damage import DamageError
from .images.picture import to_depth
from .images.planes import levels_of
from .measures.identity import Identity
from .measures.pairs import load
from .measures.perceptual import DetectorFeatures, feature_distance
from .measures.person import Person
from .measures.significance import Difference, paired
from .options import RestoreOptions
from .restore import FaceRestorer
from .trainer.network_recipe import NetworkRecipe
from .trainer.recipe import Recipe, read_recipe
from .trainer.sources import images_seen
from .weights.description import read_header

#: (result, original), both (B, 3, S, S) in [0, 1] → (B,), less where they are nearer.
Distance = Callable[[Tensor, Tensor], Tensor]
#: What is gone through one by one, in order; shows how far that is.
Steps = Callable[[Sequence[Path]], Iterable[Path]]

FEWEST, SMALLEST = 3, 0.45
#: Levels of 255, at 16 px, by which two photographs differ at least; resized and compressed anew they differ by less.
APART = 1.5
#: Faces held out from which on five that all come nearer are more than chance (one in 32).
JUDGES = 5
_SHARE = 5  # one photograph in so many is held out
_DRAWS = 4  # of each damage, of each face held out
_DAMAGES = ("balanced", "gpen-paper")
_MADE = "photographs.json"  # in a folder that may be replaced


@dataclass(frozen=True, kw_only=True)
class Album:
    """What was cut out: folders of aligned faces to train on and to judge by, and why photographs were left out."""

    train: Path
    held_out: Path
    kept: int
    left_out: Mapping[Path, str]

    @property
    def judges(self) -> int:
        """How many faces are held out."""
        return len(held_out(self.kept))


def cut_faces(
    photographs: Sequence[Path],
    restorer: FaceRestorer,
    size: int,
    folder: Path,
    person: Person | None = None,
    smallest: float = SMALLEST,
    *,
    steps: Steps = iter,
) -> Album:
    """The person's face of each photograph, aligned at `size` px, as PNG into `folder`/train and `folder`/held-out.

    A photograph with several faces is left out, unless `person` says whose is meant: nobody else is learned; so is one
    whose face is less than `smallest` of the crop, and would teach the model to be blurred, and a copy of another, lest
    the model is judged by what it was shown. Raises FaceError where fewer than three photographs are left, InputError
    for a `folder` that holds something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MADE).is_file():
        raise InputError(f"{folder} is there already, and not from here; name another place for what is made")
    faces: list[Picture] = []
    left_out: dict[Path, str] = {}
    seen: dict[Path, NDArray[np.float32]] = {}
    for path in steps(photographs):
        try:
            picture = read_picture(path)
            look = _look(picture)
            for other, known in seen.items():
                if np.abs(look - known).mean() < APART:
                    raise FaceError(f"it is a copy of {other.name}")
            face = _face_of(picture, path, restorer, size, person, smallest)
        except GPENError as error:
            # Half a face is not to be learned from, so what would let it pass is not said.
            left_out[path] = str(error.__cause__ if isinstance(error.__cause__, DamageError) else error)
        else:
            faces.append(face)
            seen[path] = look
    if len(faces) < FEWEST:
        why = "; ".join(f"{path.name}: {said}" for path, said in list(left_out.items())[:3])
        raise FaceError(
            f"{len(faces)} of {len(photographs)} photographs can be learned from, and {FEWEST} are needed"
            + (f" ({why})" if why else "")
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MADE).write_text(json.dumps([str(path) for path in photographs]), encoding="utf-8")
    album = Album(train=folder / "train", held_out=folder / "held-out", kept=len(faces), left_out=left_out)
    for place in (album.train, album.held_out):
        place.mkdir()
    aside = held_out(len(faces))
    for index, face in enumerate(faces):
        place = album.held_out if index in aside else album.train
        write_picture(face, place / f"{index:04}.png")
    return album


def held_out(count: int) -> set[int]:
    """Which of `count` faces are kept aside, evenly: one in five, and five at least where that leaves five to learn
    from; one of fewer than five.
    """
    aside = max(1, count // _SHARE, JUDGES if count >= 2 * JUDGES else 0)
    return {(2 * turn + 1) * count // (2 * aside) for turn in range(aside)}


def _face_of(
    picture: Picture, path: Path, restorer: FaceRestorer, size: int, person: Person | None, smallest: float
) -> Picture:
    options = RestoreOptions(border="reflect")
    faces = restorer.align(picture, restorer.detect(picture), options, size=size)
    if person is not None:
        faces = faces.only([row for row, crop in enumerate(faces.crops) if person.is_meant(crop[None])])
    if len(faces) != 1:
        several = "name the person's with --who" if person is None else "more than one is like the person"
        raise FaceError(f"{len(faces)} faces in it; {several}" if len(faces) else f"no face of the person in {path}")
    side = faces.detections[0].size
    if side < smallest * size:
        raise FaceError(f"its face is {side:.0f} px large; {smallest * size:.0f} px are needed")
    return Picture(pixels=levels_of(faces.crops[0]))


def _look(picture: Picture) -> NDArray[np.float32]:
    """(16, 16, 3), levels of 255: what is left of a photograph however it is resized and compressed."""
    small = Image.fromarray(to_depth(picture.pixels, np.uint8)).resize((16, 16), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def recipe_for(start: Path, images: int | None = None) -> Recipe:
    """The recipe `personal` for the network in `start`, which goes on for so many images; None: for as many as the
    recipe says. Raises WeightsError for a file that does not say of itself what network it holds, InputError for one
    that does not restore faces at the size it is given, or for less than one image.
    """
    header = read_header(start)
    if header.config is None or header.card is None:
        raise WeightsError(f"{start} does not describe itself; write it anew with `gpen convert`, then start from that")
    if header.card.task != "restoration" or header.config.out_size != header.config.in_size:
        raise InputError(
            f"{start} is for {header.card.task}, {header.config.in_size} px to {header.config.out_size}; start from a "
            "model that restores faces at the size it is given, as gpen-open-256"
        )
    recipe = read_recipe("personal")
    if images is not None and images < 1:
        raise InputError(f"images is {images}; the model must be shown at least 1")
    length = (recipe.run.max_images if images is None else images) + seen_before(start, recipe.stage)
    return replace(
        recipe,
        licence=header.card.licence,
        origin=f"{header.card.name} ({header.card.origin}), fine-tuned on one person",
        network=NetworkRecipe.of(header.config, header.card.template),
        run=replace(recipe.run, max_images=length),
    )


def seen_before(start: Path, stage: str) -> int:
    """Images that the network in `start` has seen in that stage of its training, which a run from it counts on from."""
    return images_seen(read_header(start).card).get(stage, 0)


def distance_by(identity: Identity | None) -> tuple[str, Distance]:
    """What the judgement goes by, and its name: the recognition network at hand, else what the detector's sees."""
    if identity is not None:
        return "identity", lambda result, original: 1 - identity.similarity(result, original)
    return "perceptual distance", feature_distance(DetectorFeatures())


def judge(
    before: FaceRestorer, after: FaceRestorer, album: Album, distance: Distance, *, steps: Steps = iter
) -> Difference:
    """How much nearer the model of the person brings faces held out to their originals, each the mean of eight
    damages: those of one face are no further witnesses.
    """
    figures: list[tuple[float, float]] = []
    for number, path in enumerate(steps(sorted(album.held_out.glob("*.png")))):
        original = load(path).pixels
        seeds = [1000 * number + draw for draw in range(_DRAWS)]
        shown = [Degradation(damage).degrade(original, 1, [seed]) for damage in _DAMAGES for seed in seeds]
        distances = [[float(distance(one.run(damaged), original)) for damaged in shown] for one in (before, after)]
        figures.append((fmean(distances[0]), fmean(distances[1])))
    return paired([first for first, _ in figures], [second for _, second in figures])


def restorer_of(model: Path, detector: Detector | None = None, *, device: str = "auto") -> FaceRestorer:
    """Restores with the weights in `model`, in float32: coarser numbers differ by more than a short training does."""
    from .weights import load_model

    return FaceRestorer(load_model(model, device=device, precision="fp32"), detector)
