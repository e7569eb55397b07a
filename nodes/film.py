"""Restore Video: a film in, a film out, frame by frame from file to file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..gpen_core.errors import InputError
from ..gpen_core.film_options import FilmOptions, Smoothing
from ..gpen_core.options import RestoreOptions
from ..gpen_core.restore import FaceRestorer
from ..gpen_core.weights import zoo
from . import adapter, files, inputs
from .adapter import io, schema
from .kept import ModelKeeper, model_by_name
from .model import FaceModel
from .tally import Tally
from .wires import GPENModel


class RestoreVideo(ModelKeeper, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_RestoreVideo",
            display_name="Restore Video (GPEN)",
            category="GPEN",
            essentials_category="Video Tools",
            description="Restores the faces of a film: followed from frame to frame and smoothed, so that they do not "
            "flicker. Frames stream from file to file and never lie in memory together; sound, chapters and the rate "
            "stay as they are.",
            search_aliases=["face restore video", "film restoration", "video face enhance", "old film"],
            inputs=[
                io.Video.Input("video", tooltip="A film, as Load Video or Create Video gives it."),
                inputs.option_input("strength"),
                io.Boolean.Input("temporal_smoothing", default=True, tooltip="Follow faces and smooth them over time."),
                inputs.option_input("threshold"),
                GPENModel.Input(
                    "gpen_model", optional=True, tooltip="From Load GPEN Model. Not connected: the model that ships."
                ),
            ],
            outputs=[
                io.Video.Output("video", tooltip="The film with its faces restored."),
                io.Int.Output("face_count", tooltip="How many faces were restored in all frames together."),
            ],
            hidden=inputs.HIDDEN,
        )

    @classmethod
    def fingerprint_inputs(cls, **chosen: Any) -> str:
        """Changes with the files that are taken where no model is connected."""
        return files.fingerprint(zoo.DEFAULT_MODEL)

    @classmethod
    def execute(
        cls, video: Any, temporal_smoothing: bool = True, gpen_model: FaceModel | None = None, **options: Any
    ) -> Any:
        model = gpen_model or model_by_name(zoo.DEFAULT_MODEL)
        model.require("restoration", node="Restore Video")
        settings = inputs.options_of(options, keep_crops=False)
        film = FilmOptions(smoothing=Smoothing() if temporal_smoothing else None)
        made, report = restored_film(model, video, settings, film)
        spared = len(report.spared)
        tally = Tally(found=report.faces + spared, restored=report.faces, spared=spared)
        adapter.say(cls, tally.words())
        return io.NodeOutput(adapter.video_from(made), report.faces)


def restored_film(model: FaceModel, video: Any, settings: RestoreOptions, film: FilmOptions) -> tuple[Path, Any]:
    """(the restored film's file in ComfyUI's temporary folder, the report of what was done).

    The folder that is worked in is gone when the run fails or is cancelled. Raises InputError for what is no film.
    """
    from ..gpen_core.video import restore_film

    if not callable(getattr(video, "save_to", None)):
        raise InputError(f"video must come from Load Video or Create Video, got {type(video).__name__}")
    folder = Path(tempfile.mkdtemp(prefix="gpen-film-", dir=adapter.temporary_folder()))
    done = False
    try:
        source = adapter.video_file(video, folder)
        target = folder / f"restored{source.suffix if source.suffix in _KEPT else '.mp4'}"
        parser = model.parser()
        model.prepare(detector=True, parser=parser is not None, occluder=settings.masking.occlusion)
        restorer = FaceRestorer(
            *(model.asked(kind, pictures=_FILM) for kind in ("network", "detector")),
            None if parser is None else model.asked("parser", pictures=_FILM),
            occluder=model.asked("occluder", pictures=_FILM) if settings.masking.occlusion else None,
        )
        report = restore_film(source, target, restorer, settings, film=film, progress=_progress())
        if source.parent == folder:
            source.unlink()
        done = True
        return target, report
    finally:
        if not done:
            shutil.rmtree(folder, ignore_errors=True)


#: Containers that the result keeps, and a number of pictures that is surely a film.
_KEPT, _FILM = (".mp4", ".mov", ".mkv", ".webm"), 1_000_000


def _progress() -> Callable[[Any], None]:
    bar: adapter.Progress | None = None
    before = 0

    def report(now: Any) -> None:
        nonlocal bar, before
        if bar is None:
            bar = adapter.Progress(max(now.frames, now.done))
        bar.step(now.done - before)
        before = now.done

    return report
