"""What a run leaves behind: the averaged network in a file that describes itself, its discriminator, a card, curves
and a grid.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..config import ModelCard
from ..weights.description import Header, encode
from ..weights.tensors import save_tensors
from .history import history_lines
from .log import read_log
from .loop import GRID
from .step import Stepper
from .validation import Validation, save_picture

_UNFINISHED, _WEIGHTS = ".finishing", ".safetensors"
MODEL, PRIOR, DISCRIMINATOR = "model.safetensors", "prior.safetensors", "discriminator.safetensors"
CURVES = "curves.png"
_SMOOTHING = 0.9


def write_results(
    stepper: Stepper, out: Path, validation: Validation | None, *, half: bool = False
) -> dict[str, float]:
    """Writes the files into `out`; the validation's figures of the averaged network (none for a prior).

    half: the weights as float16, as they are shipped.
    """
    figures = validation.figures(stepper) if validation is not None and stepper.stage.paired else {}
    card = model_card(stepper, figures)
    dtype = torch.float16 if half else torch.float32
    name = MODEL if stepper.stage.paired else PRIOR
    metadata = encode(Header(stepper.recipe.network.config, card))
    with appearing_together(out) as folder:
        for file, network in ((name, stepper.average), (DISCRIMINATOR, stepper.stage.discriminator)):
            weights = {n: t.detach().to("cpu", dtype).contiguous() for n, t in network.state_dict().items()}
            save_tensors(folder / file, weights, metadata)
        if validation is not None:
            save_picture(validation.grid(stepper), folder / GRID)
        if importlib.util.find_spec("matplotlib") is not None:
            draw_curves(read_log(out), folder / CURVES)
        shown = {GRID: "Given, made, original" if stepper.stage.paired else "Samples", CURVES: "Losses"}
        there = {file: said for file, said in shown.items() if (folder / file).is_file()}
        (folder / "README.md").write_text(card_text(card, figures, there), encoding="utf-8")
    return figures


@contextmanager
def appearing_together(out: Path) -> Iterator[Path]:
    """A folder to write to, whose files come into `out` once all are whole, the weights last: where they are new, all
    is. A kill between leaves the rest for the next run, which finishes alike.
    """
    folder = out / _UNFINISHED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for path in sorted(folder.iterdir(), key=lambda p: (p.suffix == _WEIGHTS, p.name in (MODEL, PRIOR), p.name)):
        os.replace(path, out / path.name)
    folder.rmdir()


def model_card(stepper: Stepper, figures: Mapping[str, float]) -> ModelCard:
    """The card of the averaged network, with recipe and what was changed of it, images seen and figures among its
    details.
    """
    recipe, progress = stepper.recipe, stepper.progress
    seen = {**progress.inherited, recipe.stage: progress.images}
    details: dict[str, Any] = {
        "recipe": recipe.to_dict(),
        "images_seen": seen,
        "hours": round(progress.seconds / 3600, 3),
        "precision": stepper.precision,
    }
    if progress.history:
        details["recipe_history"] = progress.history
    if figures:
        details["validation"] = {name: round(value, 4) for name, value in figures.items()}
    return recipe.card(details)


def card_text(card: ModelCard, figures: Mapping[str, float], pictures: Mapping[str, str]) -> str:
    """The card as Markdown, with the front matter that the Hub reads. pictures: files beside it, and what they show."""
    lines = [
        "---",
        f"license: {json.dumps(card.licence)}",
        "library_name: gpen",
        "tags: [face-restoration, gpen]",
        "---",
        "",
        f"# {card.name}",
        "",
    ]
    lines += [
        f"Origin: {card.origin}. Faces aligned to the `{card.template}` template, values in {list(card.value_range)}.",
        "",
    ]
    seen = ", ".join(f"{stage} {count:,}" for stage, count in card.details["images_seen"].items())
    lines += [f"Images seen: {seen}. Time of this stage: {card.details['hours']} h.", ""]
    shown = {n: v for n, v in figures.items() if f"input_{n}" in figures}
    if shown:
        lines += ["| figure | restored | damaged input |", "|---|---|---|"]
        lines += [f"| {n} | {v:.4f} | {figures[f'input_{n}']:.4f} |" for n, v in shown.items()] + [""]
    lines += [*(f"![{said}]({file})" for file, said in pictures.items()), "", "## Recipe", ""]
    if history := card.details.get("recipe_history"):
        lines += ["What follows is the recipe at the end; it was changed on the way:", ""]
        lines += [f"- {line}" for line in history_lines(history)] + [""]
    lines += ["```json", json.dumps(card.details["recipe"], indent=1), "```", ""]
    lines += [
        "A restored face is plausible, not evidence: details are made up from what the training faces looked like.",
        "",
    ]
    return "\n".join(lines)


def draw_curves(log: list[dict[str, Any]], path: Path) -> None:
    """One small plot for each logged figure, smoothed, over images seen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    curves: dict[str, tuple[list[float], list[float]]] = {}
    for line in log:
        for name, value in line.items():
            if name not in ("step", "images", "group"):
                images, values = curves.setdefault(f"{line['group']}/{name}", ([], []))
                images.append(line["images"])
                values.append(value)
    if not curves:
        return
    columns = 4
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * rows))
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.04, top=0.96, wspace=0.25, hspace=0.35)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis, (name, (images, values)) in zip(axes, curves.items(), strict=False):
        axis.plot(images, values, alpha=0.3)
        axis.plot(images, _smooth(values))
        axis.set_title(name, fontsize=9)
    for axis in axes[len(curves) :]:
        axis.set_axis_off()
    figure.savefig(path, dpi=80)


def _smooth(values: list[float]) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else _SMOOTHING * smoothed[-1] + (1 - _SMOOTHING) * value)
    return smoothed
