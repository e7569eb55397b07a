"""A run to look at: one page of HTML with all in it, before and after, made of a report and the files it names."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import GPENError
from ..images import Picture, read_picture, to_srgb
from ..images.picture import to_depth
from ..images.writing import whole_file
from ..report import counted

__all__ = ["srgb_image", "write_page"]

_ROWS = "<!-- rows -->"
#: All pictures together are to take about so many bytes; a page of 200 faces stays under 30 MB.
_BYTES = 16_000_000
_SIDES = (1600, 1280, 1024, 800, 640, 480, 320)
_QUALITY, _CROP = 80, 160
#: Of a face's box, so much is shown around it.
_AROUND = 1.5
#: What is no figure about a face.
_NO_FIGURES = ("index", "box", "landmarks", "warnings")


def write_page(path: Path, report: Path | None, films: Sequence[Path] = ()) -> None:
    """Writes the page of a run: report, the JSON of its pictures, None where there were none; films, those of films.

    Nothing on it comes from elsewhere. Names are text, never markup. Raises PictureError when it cannot be written.
    """
    pictures = [] if report is None else json.loads(report.read_bytes())["pictures"]
    head, tail = Path(__file__).with_name("page.html").read_text(encoding="utf-8").split(_ROWS)
    with whole_file(path) as file:
        file.write(head.encode())
        room = int(_BYTES / max(1, len(pictures)) / 2)
        for place, row in enumerate(pictures):
            file.write("".join(_picture(row, place, room)).encode())
        for place, film in enumerate(films, len(pictures)):
            file.write("".join(_film(film, place)).encode())
        file.write(tail.encode())


def _picture(row: Mapping[str, Any], place: int, room: int) -> Iterator[str]:
    faces = row["faces"]
    warned = any(face.get("warnings") for face in faces) or bool(row["notes"])
    kinds = [row["status"], *(["faces"] if faces else []), *(["warned"] if warned else [])]
    yield _opening(row["input"], place, kinds, _concerns(row))
    yield f'<h2>{html.escape(row["input"])} <span class="status">{_status(row)}</span></h2>'
    if row.get("reason"):
        yield f'<p class="reason">{html.escape(row["reason"])}</p>'
    yield from _notes(row["notes"])
    before, after = _read(row["input"]), _read(row.get("output"))
    if after is not None:
        yield _slider(before if before is not None and row["input"] != row["output"] else None, after, room)
    if faces:
        yield '<div class="faces">'
        for face in faces:
            yield from _face(face, before if row["input"] != row["output"] else None, after)
        yield "</div>"
    yield "</article>"


def _opening(name: str, place: int, kinds: Sequence[str], concerns: Mapping[str, float]) -> str:
    data = {"name": name, "kinds": " ".join(kinds), "place": place, **{k: f"{v:.4f}" for k, v in concerns.items()}}
    said = " ".join(f'data-{key}="{html.escape(str(value))}"' for key, value in data.items())
    return f'<article tabindex="-1" {said}>'


def _concerns(row: Mapping[str, Any]) -> dict[str, float]:
    """By what pictures are put in order; figures that no face has are left out."""
    faces = row["faces"]
    identity, seam, shift = (
        # null: taken, and no number, as the seam of a mask that is soft all over
        [float(face[name]) for face in faces if face.get(name) is not None]
        for name in ("identity", "seam", "colour_shift")
    )
    taken = {
        "identity": min(identity, default=None),
        "seam": max(seam, default=None),
        "shift": max(shift, default=None),
    }
    found = {key: value for key, value in taken.items() if value is not None}
    warnings = sum(len(face.get("warnings", ())) for face in faces)
    worst = 1000.0 * (row["status"] == "failed") + 10 * warnings + max(0.0, found.get("seam", 0.0) - 1)
    return {**found, "worst": worst + 10 * (1 - found.get("identity", 1.0))}


def _status(row: Mapping[str, Any]) -> str:
    faces = f", {counted(len(row['faces']), 'face')}" if row["status"] != "failed" else ""
    return html.escape(f"{row['status']}, {row['width']}×{row['height']}{faces}")


def _notes(notes: Sequence[str]) -> Iterator[str]:
    for note in notes:
        yield f'<p class="note warn">{html.escape(note)}</p>'


def _slider(before: Picture | None, after: Picture, room: int) -> str:
    for side in _SIDES:
        scale = min(1.0, side / max(after.width, after.height))
        size = (max(1, round(after.width * scale)), max(1, round(after.height * scale)))
        images = [
            _webp(srgb_image(picture.pixels, picture, size)) for picture in (before, after) if picture is not None
        ]
        if max(map(len, images)) <= room:
            break
    shape = f'width="{size[0]}" height="{size[1]}" loading="lazy"'
    if len(images) == 1:
        return f'<img {shape} src="{_uri(images[0])}" alt="after">'
    return (
        f'<div class="pair"><img {shape} src="{_uri(images[0])}" alt="before">'
        f'<img class="after" {shape} src="{_uri(images[1])}" alt="after">'
        '<input type="range" min="0" max="100" step="0.5" value="50" aria-label="before and after"></div>'
    )


def _face(face: Mapping[str, Any], before: Picture | None, after: Picture | None) -> Iterator[str]:
    yield '<div class="face">'
    for name, picture in (("before", before), ("after", after)):
        if picture is not None and after is not None:
            # Faces are counted in pixels of the result.
            box = [value * picture.width / after.width for value in face["box"]]
            yield f'<img loading="lazy" src="{_uri(_webp(_crop(picture, box)))}" alt="face {face["index"]} {name}">'
    figures = {k: v for k, v in face.items() if k not in _NO_FIGURES and isinstance(v, int | float)}
    yield f"<dl><dt>face</dt><dd>{face['index']}</dd>"
    for name, value in figures.items():
        yield f"<dt>{html.escape(name.replace('_', ' '))}</dt><dd>{value:.4g}</dd>"
    yield "</dl>"
    yield from _notes(face.get("warnings", ()))
    yield "</div>"


def _film(report: Path, place: int) -> Iterator[str]:
    if not report.exists():
        yield _opening(report.name, place, ["film", "failed"], {"worst": 1000.0})
        yield f'<h2>{html.escape(report.name)} <span class="status">film, failed: no report</span></h2></article>'
        return
    film = json.loads(report.read_bytes())
    plot, warned = report.with_suffix(".svg"), ["warned"] if film["notes"] else []
    yield _opening(film["input"], place, ["film", *warned], {"worst": float(len(film["notes"]))})
    said = f"film, {counted(film['frames'], 'frame')}, {counted(len(film['tracks']), 'face')} followed"
    yield f'<h2>{html.escape(film["output"])} <span class="status">{said}</span></h2>'
    yield from _notes(film["notes"])
    if plot.exists():
        yield f'<img src="{_uri(plot.read_bytes(), "svg+xml")}" alt="faces along the film">'
    yield "</article>"


def _read(path: str | None) -> Picture | None:
    """The picture, None where it cannot be read (any more); the report says why."""
    if path is None:
        return None
    try:
        return read_picture(Path(path), allow_truncated=True)
    except (GPENError, OSError):
        return None


def _crop(picture: Picture, box: Sequence[float]) -> Image.Image:
    side = round(min(_AROUND * max(box[2] - box[0], box[3] - box[1], 8), picture.width, picture.height))
    left = min(max(0, round((box[0] + box[2] - side) / 2)), picture.width - side)
    top = min(max(0, round((box[1] + box[3] - side) / 2)), picture.height - side)
    part = picture.pixels[top : top + side, left : left + side]
    return srgb_image(part, picture, (_CROP, _CROP))


def srgb_image(pixels: NDArray[Any], picture: Picture, size: tuple[int, int]) -> Image.Image:
    """8-bit sRGB of that size (width, height), of pixels (H, W, 3) in the profile of `picture`."""
    small = Image.fromarray(to_depth(np.ascontiguousarray(pixels), np.uint8)).resize(size, Image.Resampling.LANCZOS)
    if picture.icc_profile is None:
        return small
    planes = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255
    numbers = to_srgb(planes, picture.icc_profile)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    return Image.fromarray(to_depth(numbers, np.uint8))


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=4)
    return file.getvalue()


def _uri(data: bytes, kind: str = "webp") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
