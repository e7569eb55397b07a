"""The page: what is on it, and what happens when something is dropped, clicked or pressed."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ..errors import GPENError
from .controls import control, offered, options_of
from .studio import Cancelled, Choice, Look, Results, Studio, everything_in

_TITLE = "GPEN face restoration"
_HINT = (
    "Drop a picture, several, a folder or a film. Click a face to leave it out, or to take it back. "
    "**A restored face is plausible, not evidence**: the network draws what faces usually look like where the picture "
    "does not tell."
)
#: Always in sight; all other options are folded away.
_FIRST = ("strength", "sharpen")
#: People who wait; the next is told to come back.
_QUEUE = 16
_LARGEST_UPLOAD = "2gb"
#: Seconds after which what was uploaded or made is removed, and between two looks for such files.
_KEPT, _EVERY = 6 * 3600, 1800


def shown_settings() -> dict[str, Any]:
    """What Gradio is told wherever the app runs: nothing is fetched from elsewhere, nothing is shared."""
    return {
        "show_error": True,
        "ssr_mode": False,
        "footer_links": [],
        "enable_monitoring": False,
        "max_file_size": _LARGEST_UPLOAD,
        "theme": gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
    }


class _Visitors:
    """What each page that is open has at work: a folder for its results, and whether it wants to stop."""

    def __init__(self) -> None:
        self._root = tempfile.TemporaryDirectory(prefix="gpen-app-")
        self._stops: dict[str, threading.Event] = {}

    def begin(self, request: gr.Request) -> tuple[Path, threading.Event]:
        """A new folder in the place of the last, and what tells to stop."""
        self.forget(request)
        stop = self._stops[_name(request)] = threading.Event()
        folder = Path(self._root.name, _name(request))
        folder.mkdir()
        return folder, stop

    def stop(self, request: gr.Request) -> None:
        """Ends what this page has at work."""
        if (stop := self._stops.get(_name(request))) is not None:
            stop.set()

    def forget(self, request: gr.Request) -> None:
        """Ends it, and removes what it made."""
        self.stop(request)
        self._stops.pop(_name(request), None)
        shutil.rmtree(Path(self._root.name, _name(request)), ignore_errors=True)


def _name(request: gr.Request) -> str:
    return str(request.session_hash)


def build(studio: Studio, models: Sequence[str], *, any_model: bool) -> gr.Blocks:
    """All of it, ready to be launched."""
    visitors = _Visitors()
    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(_EVERY, _KEPT)) as app:
        gr.Markdown(f"# {_TITLE}\n{_HINT}")
        look, left_out, results = gr.State(), gr.State(frozenset()), gr.State()
        with gr.Row():
            with gr.Column():
                files = gr.File(file_count="multiple", label="Pictures or a film", elem_id="files", height=140)
                folder = gr.UploadButton("A whole folder …", file_count="directory", size="sm", elem_id="folder")
                faces = gr.Image(
                    label="Faces: click to leave out", interactive=False, visible=False, elem_id="faces", buttons=[]
                )
                which = gr.Dropdown(label="Picture", visible=False, interactive=True, elem_id="which")
                model = gr.Dropdown(
                    list(models), value=models[0], label="model", allow_custom_value=any_model, elem_id="model"
                )
                options = {name: control(name, offered()[name]) for name in _FIRST}
                with gr.Accordion("Only where I paint", open=False):
                    painting = gr.ImageEditor(
                        label="White: may change",
                        sources=(),
                        transforms=(),
                        brush=gr.Brush(colors=["#ffffff"], color_mode="fixed"),
                        layers=False,
                        elem_id="painting",
                    )
                    invert = gr.Checkbox(label="what is painted is spared instead", elem_id="invert")
                with gr.Accordion("More options", open=False):
                    options |= {name: control(name, e) for name, e in offered().items() if name not in _FIRST}
                with gr.Row():
                    go = gr.Button("Restore", variant="primary", elem_id="restore")
                    stop = gr.Button("Cancel", elem_id="cancel")
            with gr.Column():
                slider = gr.ImageSlider(label="Before and after", interactive=False, elem_id="slider")
                film = gr.Video(label="Film", visible=False, interactive=False, elem_id="film")
                result = gr.Dropdown(label="Result", visible=False, interactive=True, elem_id="result")
                said = gr.Textbox(label="What was done", interactive=False, lines=2, elem_id="said")
                home = gr.File(label="To take home", file_count="multiple", interactive=False, elem_id="home")

        def told(given: Mapping[Any, Any]) -> dict[str, Any]:
            return {name: given[component] for name, component in options.items()}

        def looked(given: Mapping[Any, Any], path: Path | None) -> dict[Any, Any]:
            hidden = {look: None, left_out: frozenset(), faces: gr.update(visible=False), painting: None}
            if path is None:
                return hidden
            with _telling():
                seen = studio.look(path, given[model], options_of(told(given)))
            label = f"{len(seen.faces)} faces: click to leave out" if len(seen.faces) != 1 else "1 face"
            shown = gr.update(value=seen.marked(), visible=True, label=label)
            return {look: seen, left_out: frozenset(), faces: shown, painting: np.asarray(seen.image)}

        def dropped(given: dict[Any, Any]) -> dict[Any, Any]:
            paths = [path for path in everything_in(given[files] or []) if not _film(path)]
            choices = [(path.name, str(path)) for path in paths]
            chooser = gr.update(choices=choices, value=str(paths[0]) if paths else None, visible=len(paths) > 1)
            return {which: chooser, **looked(given, paths[0] if paths else None)}

        def turned_to(given: dict[Any, Any]) -> dict[Any, Any]:
            return looked(given, Path(given[which]) if given[which] else None)

        def clicked(seen: Look, out: frozenset[int], event: gr.SelectData) -> tuple[frozenset[int], Any]:
            index = seen.face_at(*event.index)
            out = out if index is None else out ^ {index}
            return out, seen.marked(out)

        def restored(given: dict[Any, Any], request: gr.Request, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
            place, stopped = visitors.begin(request)

            def moved(done: float, words: str) -> None:
                if stopped.is_set():
                    raise Cancelled("cancelled; what was done until then is gone")
                progress(done, desc=words)

            choice = None
            if given[look] is not None:
                painted = _painted(given[painting], spared=given[invert])
                choice = Choice(look=given[look], left_out=given[left_out], painted=painted)
            with _telling():
                made = studio.restore(
                    everything_in(given[files] or []),
                    place,
                    model=given[model],
                    options=options_of(told(given)),
                    choice=choice,
                    progress=moved,
                )
                return presented(made)

        def presented(made: Results) -> dict[Any, Any]:
            names = [(after.name, index) for index, (_, after) in enumerate(made.pairs)]
            return {
                results: made,
                slider: gr.update(value=studio.pair(*made.pairs[0]) if made.pairs else None, visible=bool(made.pairs)),
                film: gr.update(value=str(made.films[0]) if made.films else None, visible=bool(made.films)),
                result: gr.update(choices=names, value=0 if names else None, visible=len(names) > 1),
                said: made.said,
                home: [str(path) for path in made.files],
            }

        seeing = [look, left_out, faces, painting]
        looking = {files, which, model, *options.values()}
        files.change(dropped, looking, [which, *seeing])
        folder.upload(lambda paths: paths, folder, files)
        which.input(turned_to, looking, seeing)
        for name in ("threshold", "min_size", "max_size", "order", "largest", "rotations"):
            options[name].change(turned_to, looking, seeing, show_progress="hidden")
        faces.select(clicked, [look, left_out], [left_out, faces])
        go.click(
            restored,
            looking | {look, left_out, painting, invert},
            [results, slider, film, result, said, home],
            concurrency_limit=1,
            show_progress_on=[said],
        )
        stop.click(visitors.stop, queue=False)
        result.input(lambda made, index: studio.pair(*made.pairs[index]), [results, result], slider)
        app.unload(visitors.forget)
    app.queue(max_size=_QUEUE, default_concurrency_limit=1)
    return app


def _film(path: Path) -> bool:
    from ..batch.kinds import is_film

    return is_film(path)


class _telling:
    """Says what went wrong on the page, in its one line."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, GPENError):
            raise gr.Error(str(error), print_exception=False) from error


def _painted(value: Any, *, spared: bool) -> Any:
    """(H, W) in [0, 1], None where nothing was painted."""
    layers = [] if value is None else value["layers"]
    paint = np.max([layer[..., 3] for layer in layers], axis=0).astype(np.float32) / 255 if layers else None
    if paint is None or not paint.any():
        return None
    return 1 - paint if spared else paint
