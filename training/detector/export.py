"""Ships a trained detector: python -m training.detector.export RUN/state.pt OUT.safetensors --threshold 0.7 \\
    --second-look LOOK.pt --believed 1.75

Its scores are moved so that --threshold, where it was found to make no false detections, becomes 0.9, the threshold
that every detector here has by default; so does the second look's logit --believed. In place of a state, a file that
was shipped before: its detector stays as it is. The card is written into the header and beside the file, as Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch
from torch import Tensor

from gpen_core.weights.tensors import read_tensors, save_tensors

DEFAULT_THRESHOLD = 0.9
ABOUT = Path(__file__).parent / "about.json"


def logit(probability: float) -> float:
    """Of which `probability` is the sigmoid."""
    return math.log(probability / (1 - probability))


def move_scores(state: dict[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """The same detector, whose score is DEFAULT_THRESHOLD where it was `threshold`; its order of faces stays."""
    shift = logit(DEFAULT_THRESHOLD) - logit(threshold)
    moved = dict(state)
    for name, tensor in state.items():
        if name.startswith("ClassHead.") and name.endswith("conv1x1.bias"):
            moved[name] = tensor + torch.tensor([-shift / 2, shift / 2]).repeat(len(tensor) // 2)
    return moved


def second_look(state: dict[str, Tensor], believed: float) -> dict[str, Tensor]:
    """The second look as it ships beside a detector: in halves, its score DEFAULT_THRESHOLD at the logit `believed`."""
    moved = {**state, "judge.bias": state["judge.bias"] + logit(DEFAULT_THRESHOLD) - believed}
    return {f"second_look.{k}": v.half() if v.is_floating_point() else v for k, v in moved.items()}


def main() -> None:
    """Reads the command line and writes the two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--second-look", type=Path, required=True)
    parser.add_argument("--believed", type=float, default=1.75)
    options = parser.parse_args()
    about = json.loads(ABOUT.read_text(encoding="utf-8"))
    if options.state.suffix == ".safetensors":
        shipped = read_tensors(options.state)
        state = {name: tensor for name, tensor in shipped.tensors.items() if not name.startswith("second_look.")}
        before = json.loads(shipped.metadata["gpen.detector"])["training"]
        about["training"] |= {name: before[name] for name in ("steps", "hours")}
    else:
        stored = torch.load(options.state, map_location="cpu", weights_only=True)
        about["training"] |= {"steps": stored["step"], "hours": round(stored["spent"] / 3600, 2)}
        state = move_scores(stored["network"], options.threshold)
    look = torch.load(options.second_look, map_location="cpu", weights_only=True)
    state = {name: tensor.contiguous() for name, tensor in {**state, **second_look(look, options.believed)}.items()}
    save_tensors(options.out, state, {"format": "pt", "gpen.detector": json.dumps(about, ensure_ascii=False)})
    options.out.with_suffix(".md").write_text(card_text(about), encoding="utf-8")


def card_text(about: dict[str, object]) -> str:
    """The card to read, as Markdown."""
    lines = ["---", f"license: {str(about['licence']).lower()}", "library_name: gpen", "---", ""]
    lines += [f"# {about['name']}", "", str(about["summary"]), ""]
    for title in ("training", "figures", "data", "limits"):
        lines += [f"## {title.capitalize()}", ""]
        entries = about[title]
        if isinstance(entries, dict):
            lines += [f"- {key}: {value}" for key, value in entries.items()]
        elif isinstance(entries, list):
            lines += [f"- {line}" for line in entries]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
