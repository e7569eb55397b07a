"""What the app does, whatever it looks like: look at a picture's faces, restore pictures and films into a folder."""

from __future__ import annotations

import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ..batch import BatchOptions, Item, Process, run_batch
from ..batch.kinds import is_film
from ..batch.naming import result_names
from ..errors import GPENError, InputError
from ..images import READABLE_SUFFIXES, Picture, read_picture
from ..images.damage import in_words
from ..images.metadata import Provenance
from ..measures.figures import face_figures
from ..options import RestoreOptions, Selection
from ..page import srgb_image, write_page
from ..report import PictureReport, counted
from ..restore import FaceRestorer, RestoredPicture
from ..restore.detect import find_numbered
from ..restore.provenance import provenance_of
from ..tasks import check_task
from ..threads import OneThread
from ..weights import load_detector, load_model
from .look import Choice, Look

if TYPE_CHECKING:
    from ..contracts import Detector

#: How far a run is, 0 to 1, and in words. What it raises ends the run.
Progress = Callable[[float, str], None]

#: Pictures are shown no larger.
_SIDE = 1600
#: More results than this come as one archive.
_SINGLE = 3


class Cancelled(GPENError):
    """The user has changed their mind."""


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
        self._lock, self._finding = threading.Lock(), threading.Lock()
        self._restoring, self._looking = OneThread(), OneThread(cores=1)
        self._loaded: tuple[str, FaceRestorer, Provenance] | None = None
        self._detector: Detector | None = None

    def restorer(self, model: str) -> tuple[FaceRestorer, Provenance]:
        """The restorer with this model; the one before is let go."""
        with self._lock:
            if self._loaded is None or self._loaded[0] != model:
                self._loaded = None
                network = load_model(model, device=self._device)
                check_task(network, "restoration")
                restorer = FaceRestorer(network, self.detector())
                self._loaded = model, restorer, provenance_of(network, 1.0)
            return self._loaded[1:]

    def detector(self) -> Detector:
        """What finds faces, whichever model restores them."""
        with self._finding:
            self._detector = self._detector or load_detector(device=self._device)
            return self._detector

    def look(self, path: Path, selection: Selection) -> Look:
        """A picture and the faces that would be restored. Raises PictureError for what is none."""
        return self._looking.submit(self._looked, path, selection).result()

    def _looked(self, path: Path, selection: Selection) -> Look:
        picture = self._read(path)
        faces = find_numbered(self.detector(), picture, selection)
        image = shown(picture)
        return Look(path=path, image=image, scale=picture.width / image.width, faces=faces, selection=selection)

    def pair(self, before: Path, after: Path) -> tuple[Image.Image, Image.Image]:
        """Both as they are shown, of one size."""
        return self._looking.submit(self._pair, before, after).result()

    def _pair(self, before: Path, after: Path) -> tuple[Image.Image, Image.Image]:
        first, second = (shown(self._read(path)) for path in (before, after))
        return first.resize(second.size), second

    def _read(self, path: Path) -> Picture:
        """A picture, or what can be decoded of a damaged one: who looks sees what is missing."""
        return read_picture(path, max_pixels=self._max_pixels, allow_truncated=True)

    def restore(
        self,
        paths: Sequence[Path],
        folder: Path,
        *,
        model: str,
        options: RestoreOptions,
        choices: Sequence[Choice] = (),
        progress: Progress,
    ) -> Results:
        """Restores pictures and films into `folder`, with report.json and report.html. choices: in some of them.

        A picture or film that cannot be restored is named, and the others go on. Raises InputError where there is
        nothing to do, Cancelled or whatever else `progress` raises, and GPENError for a model that cannot be had.
        """
        if not paths:
            raise InputError("nothing to restore; drop a picture, several, a folder or a film first")
        return self._restoring.submit(self._restored, paths, folder, model, options, choices, progress).result()

    def _restored(
        self,
        paths: Sequence[Path],
        folder: Path,
        model: str,
        options: RestoreOptions,
        choices: Sequence[Choice],
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
            allow_truncated=True,
        )
        pairs = (
            _pictures(pictures, batch, _process(restorer, self.detector(), options, choices), progress, said)
            if pictures
            else []
        )
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


def _process(restorer: FaceRestorer, detector: Detector, options: RestoreOptions, choices: Sequence[Choice]) -> Process:
    """Restores all faces, and those that were chosen of the pictures that `choices` are about."""
    chosen = {choice.look.path: choice for choice in choices}

    def one(picture: Picture) -> RestoredPicture:
        choice = None if picture.path is None else chosen.get(picture.path)
        if choice is None:
            return restorer.restore(picture, options)
        asked = replace(options, selection=choice.among(detector, picture, options.selection))
        return restorer.restore(picture, asked, within=choice.within(picture))

    return lambda pictures: [one(picture) for picture in pictures]


def _pictures(
    items: Sequence[Item], batch: BatchOptions, process: Process, progress: Progress, said: list[str]
) -> list[tuple[Path, Path]]:
    """Before and after of those that were done; what became of them is added to `said`."""
    pairs: list[tuple[Path, Path]] = []
    done = 0
    notes: Counter[str] = Counter()

    def finished(report: PictureReport) -> None:
        nonlocal done
        done += 1
        notes.update(report.notes)
        if report.output is None:
            said.append(named(report.failure, [Path(report.input)]))
        else:
            pairs.append((Path(report.input), Path(report.output)))
        progress(done / len(items), f"{done} of {len(items)} pictures")

    summary = run_batch(items, process, batch, finished=finished)
    faceless = f", {summary.faceless} without a face" if summary.faceless else ""
    said += [note if count == len(items) else f"{counted(count, 'picture')}: {note}" for note, count in notes.items()]
    said.insert(0, f"{summary.done} of {counted(len(items), 'picture')}, {counted(summary.faces, 'face')}{faceless}")
    return pairs


def _films(
    items: Sequence[Item], restorer: FaceRestorer, options: RestoreOptions, progress: Progress, said: list[str]
) -> list[Path]:
    from ..video import FilmOptions, FilmProgress, restore_film

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
                film=FilmOptions(allow_truncated=True),
                report=item.target.with_suffix(".report.json"),
                progress=moved,
            )
        except Cancelled:
            raise
        except GPENError as error:
            said.append(named(str(error), [item.source]))
        except OSError as error:
            said.append(f"{item.source.name}: {in_words(error)}")
        else:
            said.append(
                f"{item.source.name}: {counted(film.frames, 'frame')}, {counted(len(film.tracks), 'face')} followed"
            )
            said += [f"{item.source.name}: {note}" for note in film.notes]
            made.append(item.target)
    return made


def named(said: str, paths: Iterable[Path]) -> str:
    """What is said of files, by the names that they were given with; where they lie here is nobody's matter."""
    for path in paths:
        said = said.replace(str(path), path.name)
    return said


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
