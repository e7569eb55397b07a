"""What a run leaves behind: the averaged network in a file that describes itself, its discriminator, a card, curves
and a grid.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..config import ModelCard
from ..files import replacing
from ..weights.description import Header, encode
from ..weights.tensors import save_tensors
from .log import read_log
from .step import Stepper
from .validation import Validation

MODEL, PRIOR, DISCRIMINATOR = "model.safetensors", "prior.safetensors", "discriminator.safetensors"
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
    for file, network in ((name, stepper.average), (DISCRIMINATOR, stepper.stage.discriminator)):
        save_tensors(
            out / file, {n: t.detach().to("cpu", dtype).contiguous() for n, t in network.state_dict().items()}, metadata
        )
    (out / "README.md").write_text(card_text(card, figures), encoding="utf-8")
    if validation is not None:
        save_picture(validation.grid(stepper), out / "grid.png")
    if importlib.util.find_spec("matplotlib") is not None:
        draw_curves(read_log(out), out / "curves.png")
    return figures


def model_card(stepper: Stepper, figures: Mapping[str, float]) -> ModelCard:
    """The card of the averaged network, with recipe, images seen and figures among its details."""
    recipe, progress = stepper.recipe, stepper.progress
    seen = {**progress.inherited, recipe.stage: progress.images}
    details: dict[str, Any] = {
        "recipe": recipe.to_dict(),
        "images_seen": seen,
        "hours": round(progress.seconds / 3600, 3),
    }
    if figures:
        details["validation"] = {name: round(value, 4) for name, value in figures.items()}
    return recipe.card(details)


def card_text(card: ModelCard, figures: Mapping[str, float]) -> str:
    """The card as Markdown, with the front matter that the Hub reads."""
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
    lines += ["![Damaged, restored, original](grid.png)", "![Losses](curves.png)", "", "## Recipe", "", "```json"]
    lines += [json.dumps(card.details["recipe"], indent=1), "```", ""]
    lines += [
        "A restored face is plausible, not evidence: details are made up from what the training faces looked like.",
        "",
    ]
    return "\n".join(lines)


def save_picture(picture: Tensor, path: Path) -> None:
    """picture: (3, H, W) in [0, 1], written as 8 bits under a temporary name first."""
    levels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    with replacing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(levels)).save(temporary, "PNG")


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
