"""The page: what is on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from .controls import control, offered

TITLE = "GPEN face restoration"
_HINT = (
    "Drop a picture, several, a folder or a film. Click a face to leave it out, or to take it back. "
    "**A restored face is plausible, not evidence**: the network draws what faces usually look like where the picture "
    "does not tell."
)
#: Always in sight; all other options are folded away.
_FIRST = ("strength", "sharpen")
_LARGEST_UPLOAD = "2gb"


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


@dataclass(frozen=True, kw_only=True)
class Given:
    """The components by which people say what they want; options: by name."""

    files: Any
    folder: Any
    faces: Any
    which: Any
    model: Any
    options: dict[str, Any]
    painting: Any
    invert: Any
    go: Any
    stop: Any


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The components that show what was made."""

    slider: Any
    film: Any
    result: Any
    said: Any
    home: Any

    def all(self) -> list[Any]:
        """Every one of them."""
        return [self.slider, self.film, self.result, self.said, self.home]


def lay_out(models: Sequence[str], *, any_model: bool) -> tuple[Given, Shown]:
    """Puts all components on the page that is being made."""
    gr.Markdown(f"# {TITLE}\n{_HINT}")
    with gr.Row():
        with gr.Column():
            given = _given(models, any_model)
        with gr.Column():
            shown = Shown(
                slider=gr.ImageSlider(label="Before and after", interactive=False, elem_id="slider"),
                film=gr.Video(label="Film", visible=False, interactive=False, elem_id="film"),
                result=gr.Dropdown(label="Result", visible=False, interactive=True, elem_id="result"),
                said=gr.Textbox(label="What was done", interactive=False, lines=2, elem_id="said"),
                home=gr.File(label="To take home", file_count="multiple", interactive=False, elem_id="home"),
            )
    return given, shown


def _given(models: Sequence[str], any_model: bool) -> Given:
    files = gr.File(file_count="multiple", label="Pictures or a film", elem_id="files", height=140)
    folder = gr.UploadButton("A whole folder …", file_count="directory", size="sm", elem_id="folder")
    faces = gr.Image(label="Faces", interactive=False, visible=False, elem_id="faces", buttons=[])
    which = gr.Dropdown(label="Picture", visible=False, interactive=True, elem_id="which")
    model = gr.Dropdown(list(models), value=models[0], label="model", allow_custom_value=any_model, elem_id="model")
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
        options |= {name: control(name, entry) for name, entry in offered().items() if name not in _FIRST}
    with gr.Row():
        go = gr.Button("Restore", variant="primary", elem_id="restore")
        stop = gr.Button("Cancel", elem_id="cancel")
    return Given(
        files=files,
        folder=folder,
        faces=faces,
        which=which,
        model=model,
        options=options,
        painting=painting,
        invert=invert,
        go=go,
        stop=stop,
    )
