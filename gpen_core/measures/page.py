"""A page to look at: the sums, and the worst and best faces beside their figures."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..files import replacing
from ..images.picture import to_depth
from ..images.reading import read_picture
from .catalogue import better
from .evaluation import Evaluation
from .tables import Sides, summary

_SHOWN = 8
_SIDE = 192
_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:70em}"
    "table{border-collapse:collapse}td,th{padding:.2em .7em;text-align:right}td:first-child{text-align:left}"
    "figure{display:inline-block;margin:.4em}figcaption{font-size:12px;max-width:40em}"
)


def write_page(path: Path, sides: Sides, folders: Mapping[str, Path], by: str) -> None:
    """Writes one HTML file that needs no other.

    folders: pictures to show side by side, by what is written above them, the results of the first of `sides` among
    them. by: the figure that says which faces are worst and best.
    """
    first = next(iter(sides.values()))
    order = _ordered(first, by)
    shown = {"Worst": order[:_SHOWN], "Best": [s for s in order[::-1] if s not in order[:_SHOWN]][:_SHOWN]}
    parts = [f"<!doctype html><meta charset=utf-8><title>Evaluation</title><style>{_STYLE}</style><h1>Evaluation</h1>"]
    parts.append(_sums(sides))
    for title, stems in shown.items():
        if stems:
            parts.append(f"<h2>{title} by {html.escape(by)}</h2>")
            parts += [_face(stem, first.pictures[stem], folders) for stem in stems]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")


def _ordered(evaluation: Evaluation, by: str) -> list[str]:
    """Stems, worst first; those without the figure are left out."""
    known = [stem for stem, row in evaluation.pictures.items() if math.isfinite(row.get(by, math.nan))]
    return sorted(known, key=lambda stem: evaluation.pictures[stem][by], reverse=better(by) == "lower")


def _sums(sides: Sides) -> str:
    whole = summary(sides)["sides"]
    names = list(dict.fromkeys(name for side in whole.values() for name in side["figures"]))
    head = "".join(f"<th>{html.escape(name)} {'↑' if better(name) == 'higher' else '↓'}</th>" for name in names)
    lines = [f"<table><tr><th></th><th>pictures</th>{head}</tr>"]
    for side, held in whole.items():
        cells = [f"<td>{html.escape(side)}</td><td>{held['pictures']}</td>"]
        for name in names:
            figure = held["figures"].get(name)
            cells.append(f"<td>{_bounded(figure) if figure else '–'}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table><p>In brackets: 95 % bounds of the mean, by bootstrap.</p>"])


def _bounded(figure: Mapping[str, float | None]) -> str:
    mean, low, high = (figure[key] for key in ("mean", "low", "high"))
    if mean is None:
        return "–"
    return f"{mean:.4g}" if low is None or high is None else f"{mean:.4g} [{low:.4g}, {high:.4g}]"


def _face(stem: str, row: Mapping[str, float], folders: Mapping[str, Path]) -> str:
    figures = ", ".join(f"{name} {value:.3g}" for name, value in row.items())
    pictures = []
    for label, folder in folders.items():
        found = next(iter(sorted(folder.glob(f"{_literal(stem)}.*"))), None)
        if found is not None:
            pictures.append(f'<img src="{_inline(found)}" alt="{html.escape(label)}" title="{html.escape(label)}">')
    return f"<figure>{''.join(pictures)}<figcaption>{html.escape(stem)}: {figures}</figcaption></figure>"


def _literal(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)


def _inline(path: Path) -> str:
    image = Image.fromarray(to_depth(read_picture(path).pixels, np.uint8))
    image.thumbnail((_SIDE, _SIDE))
    held = io.BytesIO()
    image.save(held, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()
