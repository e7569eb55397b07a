"""What the app does, whatever it looks like: look at a picture's faces, restore pictures and films into a folder."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..batch import BatchOptions, Item, Process, run_batch
from ..batch.kinds import is_film
from ..batch.naming import result_names
from ..errors import GPENError, InputError
from ..faces.types import Detection
from ..images import READABLE_SUFFIXES, Picture, read_picture
from ..images.damage import in_words
from ..images.metadata import Provenance
from ..measures.figures import face_figures
from ..options import RestoreOptions
from ..page import srgb_image, write_page
from ..report import PictureReport, counted
from ..restore import FaceRestorer
from ..restore.provenance import provenance_of
from ..tasks import check_task
from ..threads import OneThread
from ..weights import load_detector, load_model

#: How far a run is, 0 to 1, and in words. What it raises ends the run.
Progress = Callable[[float, str], None]

#: Pictures are shown no larger.
_SIDE = 1600
_CHOSEN, _LEFT_OUT = (255, 176, 0), (128, 128, 128)
#: More results than this come as one archive.
_SINGLE = 3


class Cancelled(GPENError):
    """The user has changed their mind."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A picture as it is shown, and its faces. scale: pixels of the picture for one that is shown."""

    path: Path
    image: Image.Image
    scale: float
    faces: tuple[Detection, ...]

    def face_at(self, x: float, y: float) -> int | None:
        """The number of the smallest face whose box holds this point of what is shown."""
        found = []
        for index, face in enumerate(self.faces):
            left, top, right, bottom = (float(v) / self.scale for v in face.box)
            if left <= x <= right and top <= y <= bottom:
                found.append(((right - left) * (bottom - top), index))
        return min(found)[1] if found else None

    def marked(self, left_out: Collection[int] = ()) -> Image.Image:
        """What is shown, with a box around each face; those left out are crossed."""
        image = self.image.copy()
        pen, line = ImageDraw.Draw(image), max(2, round(min(image.size) / 200))
        for index, face in enumerate(self.faces):
            left, top, right, bottom = (float(v) / self.scale for v in face.box)
            box = (left, top, max(left, right), max(top, bottom))
            pen.rectangle(box, outline=_LEFT_OUT if index in left_out else _CHOSEN, width=line)
            if index in left_out:
                pen.line(box, fill=_LEFT_OUT, width=line)
        return image


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen in one picture: faces by clicking, and what was painted, (H, W) in [0, 1] as shown."""

    look: Look
    left_out: frozenset[int] = frozenset()
    painted: NDArray[np.float32] | None = field(default=None, repr=False)

    def faces(self) -> list[Detection] | None:
        """Those to restore; None: all that are found."""
        if not self.left_out:
            return None
        return [face for index, face in enumerate(self.look.faces) if index not in self.left_out]

    def within(self, picture: Picture) -> NDArray[np.float32] | None:
        """How much of each pixel may change."""
        if self.painted is None:
            return None
        mask = Image.fromarray(self.painted).resize((picture.width, picture.height), Image.Resampling.BILINEAR)
        return np.asarray(mask, np.float32).clip(0, 1)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a run made: pictures before and after, films, and the files to take home; said: how it went, in lines."""

    pairs: tuple[tuple[Path, Path], ...]
    films: tuple[Path, ...]
    files: tuple[Path, ...]
    said: str


class Studio:
    """One restorer at a time, for whoever looks at the page.

    Restoring has a thread of its own, with all cores; looking, which does not wait for it, another, with one.
    """

    def __init__(self, *, device: str = "auto", max_pixels: int) -> None:
        self._device, self._max_pixels = device, max_pixels
        self._lock = threading.Lock()
        self._restoring, self._looking = OneThread(), OneThread(cores=1)
        self._loaded: tuple[str, FaceRestorer, Provenance] | None = None

    def restorer(self, model: str) -> tuple[FaceRestorer, Provenance]:
        """The restorer with this model; the one before is let go."""
        with self._lock:
            if self._loaded is None or self._loaded[0] != model:
                self._loaded = None
                network = load_model(model, device=self._device)
                check_task(network, "restoration")
                restorer = FaceRestorer(network, load_detector(device=self._device))
                self._loaded = model, restorer, provenance_of(network, 1.0)
            return self._loaded[1:]

    def look(self, path: Path, model: str, options: RestoreOptions) -> Look:
        """A picture and the faces that would be restored. Raises PictureError for what is none."""
        return self._looking.submit(self._looked, path, model, options).result()

    def _looked(self, path: Path, model: str, options: RestoreOptions) -> Look:
        picture = read_picture(path, max_pixels=self._max_pixels)
        faces = self.restorer(model)[0].detect(picture, options.selection)
        image = shown(picture)
        return Look(path=path, image=image, scale=picture.width / image.width, faces=tuple(faces))

    def pair(self, before: Path, after: Path) -> tuple[Image.Image, Image.Image]:
        """Both as they are shown, of one size."""
        return self._looking.submit(self._pair, before, after).result()

    def _pair(self, before: Path, after: Path) -> tuple[Image.Image, Image.Image]:
        first, second = (shown(read_picture(path, max_pixels=self._max_pixels)) for path in (before, after))
        return first.resize(second.size), second

    def restore(
        self,
        paths: Sequence[Path],
        folder: Path,
        *,
        model: str,
        options: RestoreOptions,
        choice: Choice | None = None,
        progress: Progress,
    ) -> Results:
        """Restores pictures and films into `folder`, with report.json and report.html. choice: of one of the pictures.

        A picture or film that cannot be restored is named, and the others go on. Raises InputError where there is
        nothing to do, Cancelled or whatever else `progress` raises, and GPENError for a model that cannot be had.
        """
        if not paths:
            raise InputError("nothing to restore; drop a picture, several, a folder or a film first")
        return self._restoring.submit(self._restored, paths, folder, model, options, choice, progress).result()

    def _restored(
        self,
        paths: Sequence[Path],
        folder: Path,
        model: str,
        options: RestoreOptions,
        choice: Choice | None,
        progress: Progress,
    ) -> Results:
        progress(0.0, "loading the model")
        restorer, provenance = self.restorer(model)
        names = result_names([Path(path.name) for path in paths], None)
        pictures: list[Item] = []
        films: list[Item] = []
        for number, (path, name) in enumerate(zip(paths, names, strict=True)):
            # Two uploads may have one name; each lies in a folder of its own.
            place = folder if names.count(name) == 1 else folder / str(number)
            kind = films if is_film(path) else pictures
            kind.append(Item(source=path, target=place / (name.with_suffix(".mp4") if kind is films else name)))
        said: list[str] = []
        batch = BatchOptions(
            report=folder / "report.json",
            provenance=replace(provenance, strength=options.blending.strength),
            figures=(face_figures,),
            max_pixels=self._max_pixels,
        )
        pairs = _pictures(pictures, batch, _process(restorer, options, choice), progress, said) if pictures else []
        made = _films(films, restorer, options, progress, said)
        report = batch.report if pictures else None
        write_page(folder / "report.html", report, [item.target.with_suffix(".report.json") for item in films])
        files = [*(after for _, after in pairs), *made]
        if len(files) > _SINGLE:
            files = [_archive(folder / "restored.zip", folder, files)]
        files += [folder / "report.html", *([report] if report else [])]
        return Results(pairs=tuple(pairs), films=tuple(made), files=tuple(files), said="\n".join(said))


def shown(picture: Picture) -> Image.Image:
    """8-bit sRGB, small enough for a page."""
    scale = min(1.0, _SIDE / max(picture.width, picture.height))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return srgb_image(picture.pixels, picture, size)


def _process(restorer: FaceRestorer, options: RestoreOptions, choice: Choice | None) -> Process:
    """Restores all faces, and those that were chosen of the picture that `choice` is about."""

    def restored(pictures: Sequence[Picture]) -> Sequence[Any]:
        chosen = [choice if choice is not None and choice.look.path == picture.path else None for picture in pictures]
        detections = [None if one is None else one.faces() for one in chosen]
        within = [None if one is None else one.within(picture) for one, picture in zip(chosen, pictures, strict=True)]
        return list(restorer.restore_many(pictures, options, detections=detections, within=within))

    return restored


def _pictures(
    items: Sequence[Item], batch: BatchOptions, process: Process, progress: Progress, said: list[str]
) -> list[tuple[Path, Path]]:
    """Before and after of those that were done; what became of them is added to `said`."""
    pairs: list[tuple[Path, Path]] = []
    done = 0

    def finished(report: PictureReport) -> None:
        nonlocal done
        done += 1
        if report.output is None:
            said.append(report.failure)
        else:
            pairs.append((Path(report.input), Path(report.output)))
        progress(done / len(items), f"{done} of {len(items)} pictures")

    summary = run_batch(items, process, batch, finished=finished)
    faceless = f", {summary.faceless} without a face" if summary.faceless else ""
    said.insert(0, f"{summary.done} of {counted(len(items), 'picture')}, {counted(summary.faces, 'face')}{faceless}")
    return pairs


def _films(
    items: Sequence[Item], restorer: FaceRestorer, options: RestoreOptions, progress: Progress, said: list[str]
) -> list[Path]:
    from ..video import FilmProgress, restore_film

    made = []
    for item in items:

        def moved(done: FilmProgress, name: str = item.source.name) -> None:
            progress(done.done / max(1, done.frames), f"{name}: {done.done} of {done.frames} frames")

        try:
            item.target.parent.mkdir(parents=True, exist_ok=True)
            film = restore_film(
                item.source,
                item.target,
                restorer,
                options,
                report=item.target.with_suffix(".report.json"),
                progress=moved,
            )
        except Cancelled:
            raise
        except GPENError as error:
            said.append(str(error))
        except OSError as error:
            said.append(f"{item.source.name}: {in_words(error)}")
        else:
            said.append(
                f"{item.source.name}: {counted(film.frames, 'frame')}, {counted(len(film.tracks), 'face')} followed"
            )
            made.append(item.target)
    return made


def _archive(path: Path, folder: Path, files: Sequence[Path]) -> Path:
    """A zip file of these, as they lie below the folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.relative_to(folder))
    return path


def everything_in(paths: Sequence[str]) -> list[Path]:
    """Pictures and films among uploaded files, in a stable order; what a folder holds beside them is left out."""
    files = [Path(path) for path in paths]
    return sorted(
        {file for file in files if len(files) == 1 or file.suffix.lower() in READABLE_SUFFIXES or is_film(file)},
        key=lambda file: (file.name, str(file)),
    )
