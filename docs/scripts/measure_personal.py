"""What a model gains by being fine-tuned on one photograph of a person, judged on another, beside a stranger's.

    pip install dlib-bin face-recognition-models
    python docs/scripts/measure_personal.py FACES TABLE.csv [--split val] [--people 5] [--steps 40] [--times 1]

FACES, TABLE: as measure_gallery.py has them. For each of --people the open model sees one photograph --steps times, two
damaged copies at once, by content alone at --times the rates of the recipe personal-256 (encoder 2e-4, decoder 5e-5);
every model then restores the other photograph of everybody, damaged four times. Prints the change against the model
that ships in the distance of dlib's embeddings and in decibels: of a person's own model, of the others' models, and of
the one less the others with its standard error. Only that is owed to the person.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure_gallery import Judge, photographs_of, read_face
from torch import Tensor

from gpen_core import load_model
from gpen_core.data.degradation import Degradation
from gpen_core.measures.metrics import psnr

DAMAGES = ("balanced", "gpen-paper")


def people_of(folder: Path, table: Path, split: str, count: int) -> list[tuple[Tensor, Tensor]]:
    """Two photographs each, spread over the table."""
    found = photographs_of(folder, table, split)
    found = found[:: max(1, len(found) // count)][:count]
    return [(read_face(group[0]), read_face(group[1])) for group in found]


def tuned(photograph: Tensor, first: int, steps: int, times: float) -> Any:
    """The open model after `steps` of two damaged copies each, mirrored every second time. first: the damage's seed."""
    model = load_model(prepare=False, device="cpu", precision="fp32").train().requires_grad_(True)
    groups: dict[bool, list[Tensor]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        groups[name.startswith("generator")].append(parameter)
    rates = [{"params": groups[False], "lr": 2e-4 * times}, {"params": groups[True], "lr": 5e-5 * times}]
    optimiser, damage = torch.optim.Adam(rates, betas=(0.0, 0.99)), Degradation("balanced")
    for step in range(steps):
        wanted = photograph.expand(2, -1, -1, -1)
        wanted = wanted.flip(3) if step % 2 else wanted
        shown = damage.degrade(wanted, 1, [first + 2 * step, first + 2 * step + 1])
        loss = ((model(shown * 2 - 1) + 1) / 2 - wanted).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def judged(model: Any, people: list[tuple[Tensor, Tensor]], judge: Judge) -> np.ndarray:
    """(people, 4, 2): distance and decibels of each person's other photograph, restored."""
    figures = []
    for number, (_, original) in enumerate(people):
        rows = []
        for damage in DAMAGES:
            for turn in range(2):
                shown = Degradation(damage).degrade(original, 1, [5_000 + 10 * number + turn])
                with torch.no_grad():
                    face = ((model(shown * 2 - 1) + 1) / 2).clamp(0, 1)
                rows.append((judge.distances([face], original)[0], float(psnr(face, original))))
        figures.append(rows)
    return np.array(figures)


def main() -> None:
    """Tunes, judges, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--times", type=float, default=1.0)
    arguments = parser.parse_args()
    people, judge = people_of(arguments.faces, arguments.table, arguments.split, arguments.people), Judge()
    plain = judged(load_model(prepare=False, device="cpu", precision="fp32").eval(), people, judge)
    changes = []
    for number, (photograph, _) in enumerate(people):
        model = tuned(photograph, 100_000 * number, arguments.steps, arguments.times)
        changes.append(judged(model, people, judge) - plain)
        print(f"person {number + 1}: distance {changes[-1][number, :, 0].mean():+.4f} by the own model", flush=True)
    changed, mine = np.array(changes), np.arange(len(people))
    own = changed[mine, mine]
    others = (changed.sum(0) - own) / (len(people) - 1)
    for index, name in enumerate(("distance", "dB")):
        less = (own - others)[..., index].ravel()
        error = less.std(ddof=1) / len(less) ** 0.5
        said = f"own {own[..., index].mean():+.4f}, others' {others[..., index].mean():+.4f}"
        print(f"{name}: plain {plain[..., index].mean():.4f}; {said}; ", end="")
        print(f"owed to the person {less.mean():+.4f} ± {error:.4f}")


if __name__ == "__main__":
    main()
