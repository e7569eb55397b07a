"""A film in, the same film with its faces restored out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..background import Larger
from ..contracts import larger_of
from ..errors import InputError, PictureError
from ..fields import plain
from ..files import claimed, sweep
from ..film_options import FilmOptions
from ..images.writing import refuse_same_file
from ..options import RestoreOptions
from ..restore import FaceRestorer
from ..restore.provenance import told_of
from .encoding import Encoding, choose_encoding
from .info import FilmInfo, probe
from .marking import FrameMarking
from .masks import open_masks, refuse_missing
from .moments import FrameRestoration
from .report import FilmProgress, FilmReport
from .segments import Segments, fingerprint
from .sizes import crop_size
from .streams import choose_carriage
from .work import FilmWork, Frames
from .writing import black_segment

if TYPE_CHECKING:
    from ..measures.identity import Identity
    from ..measures.person import Person


def restore_film(
    input: str | Path,
    output: str | Path,
    restorer: FaceRestorer,
    options: RestoreOptions | None = None,
    *,
    film: FilmOptions | None = None,
    masks: Any = None,
    larger: Larger | None = None,
    identity: Identity | None = None,
    person: Person | None = None,
    mark: bool = False,
    report: str | Path | None = None,
    progress: Callable[[FilmProgress], None] | None = None,
) -> FilmReport:
    """Restores the faces of the film `input` into the film `output`, sound and subtitles kept as they are.

    masks: a film or a picture of the same size, white where faces may change. larger: makes it larger. identity:
    tells how much faces are still the same persons'. person: whose faces are restored. mark: faces that would be
    restored are only found, followed and drawn. report: a JSON file for what is returned; by it `film.resume` also
    knows a film that was finished before. progress: called after each block of frames; what it raises ends the run,
    which `film.resume` goes on with. `output` is there only once all of it is.
    Raises PictureError for what cannot be read or written, or is there already and `film.overwrite` not said;
    InputError for masks of another film, a resume with other settings, or another run at work on `output`;
    MissingPackageError without PyAV.
    """
    film, options, target = film or FilmOptions(), RestoreOptions.of(options), Path(output)
    info = probe(input, start=film.start, end=film.end)
    refuse_same_file(info.path, target, ever=False)
    refuse_missing(masks)
    if larger is not None and (masks is not None or mark):
        raise InputError(
            "a film is made larger without masks and without marks; leave them or the scale (--upscale) out"
        )
    scale = 1 if larger is None else larger.scale
    encoding, notes = choose_encoding(
        info, target, codec=film.codec, quality=film.quality, preset=film.preset, scale=scale
    )
    settings = _settings(info, restorer, options, film, encoding, masks, larger)
    settings |= {"mark": mark, "identity": identity is not None, **restorer.told(None if mark else options)}
    if person is not None:
        settings["person"] = person.settings
    segments = Segments(output=target, settings=settings, report=None if report is None else Path(report))
    with claimed(target):
        for path in {target, segments.report or target}:
            sweep(path.parent)
        if film.resume and (before := segments.conclude()) is not None:
            return replace(before, frames_before=before.frames)
        if target.exists() and not film.overwrite:
            raise PictureError(f"{target} is there already; give another name, or say overwrite (--overwrite)")
        if info.ends_early and not film.allow_truncated:
            raise PictureError(
                f"{info.path} was cut short: {info.ends_early}; `allow_truncated` (--allow-truncated) restores it as "
                "it is"
            )
        if info.ends_early:
            notes += (f"the film was cut short: {info.ends_early}",)
        carriage, more = choose_carriage(info, encoding, target, black_segment(info, encoding))
        notes += more
        with open_masks(masks, info) as mask_source:
            frames: Frames
            if mark:
                frames = FrameMarking(restorer, options, film.smoothing, person, film.detect_every)
            else:
                options = options if larger is None else larger.options(options)
                size, said = crop_size(restorer, info, options.selection, encoding.pixel_format, film.decoder, larger)
                notes += said
                frames = FrameRestoration(
                    restorer,
                    options,
                    film.smoothing,
                    owned=True,
                    larger=larger,
                    identity=identity,
                    person=person,
                    crop_size=size,
                    detect_every=film.detect_every,
                )
            # What makes pictures larger while they are pasted is a network itself, and wants all cores.
            beside = larger is None
            work = FilmWork(info, frames, film, encoding, carriage, segments, mask_source, progress, beside)
            return work.run(target, notes)


def _settings(
    info: FilmInfo,
    restorer: FaceRestorer,
    options: RestoreOptions,
    film: FilmOptions,
    encoding: Encoding,
    masks: Any,
    larger: Larger | None,
) -> dict[str, Any]:
    """All that the frames of the result depend on, as JSON values."""
    if masks is not None and not isinstance(masks, str | Path):
        raise InputError(f"masks of a film are given as {type(masks).__name__}; expected the path of a film or picture")
    card, config = restorer.model.card, restorer.model.config
    weights = getattr(restorer.model, "file", None)
    # Which of a model's two networks a film meets is told by the film; the second one belongs to the settings.
    second = larger_of(restorer.model)
    files = [None if file is None else fingerprint(Path(file)) for file in getattr(restorer.model, "files", ())[1:]]
    more = {} if second is None else {"larger": f"{second.in_size} {second.out_size}", "larger_weights": files}
    upscaler = None if larger is None or larger.upscaler is None else told_of(larger.upscaler.network)
    return {
        "film": fingerprint(info.path),
        "masks": None if masks is None else fingerprint(Path(masks)),
        "model": f"{card.name} {config.in_size} {config.out_size} {card.value_range}",
        "weights": None if weights is None else fingerprint(Path(weights)),
        "options": plain(options),
        "smoothing": None if film.smoothing is None else asdict(film.smoothing),
        "detect_every": film.detect_every,
        "segment": film.segment,
        "encoding": asdict(encoding),
        "background": upscaler,
        "from": film.start,
        "to": film.end,
        "allow_truncated": film.allow_truncated,
        **more,
    }
