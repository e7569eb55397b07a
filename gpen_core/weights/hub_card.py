"""The page of a model on the Hub: what its front matter says to the Hub, and its text to people."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ..config import GPENConfig, ModelCard

# Licences that the Hub knows by an identifier; any other is called "other" there and named.
_HUB_LICENCES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "bsd-3-clause"}
_TASKS = {
    "restoration": "restores a degraded photograph of a face",
    "colorization": "colours a grey photograph of a face",
    "inpainting": "fills the parts of a face that are painted white",
    "segmentation": "makes a face from a map of its regions",
}
#: How a model of each task is used: what is imported, and the line.
_USES = {
    "restoration": ("FaceRestorer, load_model", 'FaceRestorer(model).restore("photograph.jpg").save("restored.png")'),
    "colorization": ("colorize, load_model", 'colorize("photograph.jpg", model).save("coloured.png")'),
    "inpainting": ("inpaint, load_model", 'inpaint("photograph.jpg", model, mask="mask.png").save("filled.png")'),
    "segmentation": ("load_model, synthesize_face", 'face = synthesize_face("map.png", model)  # (H, W, 3) uint8 RGB'),
}
#: Of a card's details, what the page shows elsewhere.
_ELSEWHERE = ("card_from", "sha256", "datasets", "base_model")
#: A figure of the damaged input stands beside the restored one's under this prefix.
_INPUT = "input_"


def model_card(
    config: GPENConfig, card: ModelCard, *, sha256: str | None = None, repo: str = "OWNER/REPOSITORY"
) -> str:
    """The README.md of the repository `repo` on the Hub: front matter, use, what the model expects, its limits."""
    imported, use = _USES[card.task]
    known = card.licence.lower() in _HUB_LICENCES
    datasets, base, figures = card.details.get("datasets"), card.details.get("base_model"), figures_of(card)
    front = [
        "---",
        "library_name: gpen",
        "pipeline_tag: image-to-image",
        f"license: {card.licence.lower() if known else 'other'}",
        *([] if known else [f"license_name: {json.dumps(card.licence, ensure_ascii=False)}"]),
        *(["datasets:", *(f"  - {json.dumps(name)}" for name in datasets)] if isinstance(datasets, list) else []),
        *([f"base_model: {json.dumps(base)}"] if base else []),
        "tags:",
        *(f"  - {tag}" for tag in ("gpen", "face-restoration", "gan-prior", card.task)),
        *(model_index(card.name, str(card.details.get("judged_on", "aligned faces")), figures) if figures else []),
        "---",
    ]
    low, high = card.value_range
    rows = {
        "task": card.task,
        "input": f"{config.in_size} × {config.in_size} RGB in [{low:g}, {high:g}]",
        "output": f"{config.out_size} × {config.out_size} RGB",
        "face template": f"{card.template}, border {card.border}",
        "prior": f"{config.prior}, channels {', '.join(f'{c} at {r}' for r, c in config.channels.items())}",
        "licence": card.licence,
        "origin": card.origin,
        **({"sha256 of the tensors": f"`{sha256}`"} if sha256 else {}),
    }
    details = {key: value for key, value in card.details.items() if key not in _ELSEWHERE}
    shown = json.dumps(details, indent=2, ensure_ascii=False)
    lines = [
        *front,
        "",
        f"# {card.name}",
        "",
        f"A GPEN network (GAN prior embedded in a U-shaped network) that {_TASKS[card.task]}.",
        "",
        "```python",
        f"from gpen_core import {imported}",
        "",
        f'model = load_model("{repo}")  # this repository',
        use,
        "```",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
        *(_table(figures, str(card.details.get("judged_on", "aligned faces"))) if figures else []),
        *(["## Details", "", "```json", shown, "```", ""] if details else []),
        "## Limits",
        "",
        "What it adds is plausible, not evidence: a restored face must not be used to identify anybody.",
        "",
    ]
    return "\n".join(lines)


def figures_of(card: ModelCard) -> dict[str, dict[str, float]]:
    """What the card's details hold of figures, by what was judged, then by name; those of the input left out."""
    held = card.details.get("figures")
    if not isinstance(held, Mapping):
        held = {"validation": card.details.get("validation")}
    return {
        judged: {n: v for n, v in row.items() if not n.startswith(_INPUT) and isinstance(v, int | float)}
        for judged, row in held.items()
        if isinstance(row, Mapping)
    }


def model_index(name: str, judged_on: str, figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lines of the Hub's `model-index` for a card's front matter.

    judged_on: which faces; figures: by what was judged (a strength of damage), then by name of the figure.
    """
    lines = ["model-index:", f"- name: {name}", "  results:", "  - task:", "      type: image-to-image"]
    lines += ["      name: face restoration", "    dataset:", "      type: aligned-faces"]
    lines += [f"      name: {json.dumps(judged_on, ensure_ascii=False)}", "    metrics:"]
    for judged, row in figures.items():
        for figure, value in row.items():
            lines += [f"    - type: {_scalar(figure)}", f"      value: {value}"]
            lines.append(f"      name: {_scalar(f'{figure}, {judged}')}")
    return lines


def _scalar(text: str) -> str:
    """A text as YAML has it."""
    return text if re.fullmatch(r"[A-Za-z][\w ,-]*", text) else json.dumps(text)


def _table(figures: Mapping[str, Mapping[str, float]], judged_on: str) -> list[str]:
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    rows = [f"| {judged} | {' | '.join(str(row.get(name, '')) for name in names)} |" for judged, row in figures.items()]
    return [
        "## Figures",
        "",
        f"On {judged_on}.",
        "",
        f"| | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *rows,
        "",
    ]
