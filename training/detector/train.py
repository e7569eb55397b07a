"""Trains the open detector: python -m training.detector.train FACES LABELS.npz RUN --backbone
mobilenetV1X0.25_pretrain.tar --minutes 60

Started again on the same RUN folder with more minutes it goes on from the last state.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from .anchors import make_anchors
from .backgrounds import read_photographs
from .labels import load_network, to_input
from .loss import DetectionLoss, detection_loss, match
from .scenes import Faces, compose

# (height = width, scenes a step): large faces need large scenes, small steps keep the time of each alike.
SHAPES = ((320, 12), (320, 12), (256, 16), (384, 8), (512, 4))
SAVE_EVERY = 60.0  # seconds
LOG_EVERY = 20  # steps

#: Network input, ground truth of each scene, and the scenes' side.
Batch = tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]], int]


def backbone_state(path: Path) -> dict[str, Tensor]:
    """ImageNet features for `body.*`, the first layer rewritten for BGR in 0..255."""
    stored = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    state = {k.replace("module.", "body.", 1): v for k, v in stored.items() if ".fc." not in k}
    first = state["body.stage1.0.0.weight"]
    deviation = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)
    state["body.stage1.0.0.weight"] = (first / (255 * deviation)).flip(1)
    return state


def make_network(backbone: Path | None) -> nn.Module:
    """The untrained detector, on ImageNet features when given; a face is taken to be rare at first."""
    network = load_network()
    if backbone is not None:
        missing = network.load_state_dict(backbone_state(backbone), strict=False)
        if missing.unexpected_keys:
            raise SystemExit(f"{backbone} has keys the backbone lacks: {missing.unexpected_keys[:3]}")
    for head in network.get_submodule("ClassHead").children():
        nn.init.normal_(head.get_parameter("conv1x1.weight"), std=0.01)
        bias = head.get_parameter("conv1x1.bias")
        bias.data = torch.tensor([2.0, -2.0]).repeat(len(bias) // 2)
    return network


def make_batch(seed: int, step: int, faces: Faces, photographs: list[np.ndarray]) -> Batch:
    """The scenes of step `step`; they depend on (seed, step) alone."""
    rng = np.random.default_rng((seed, step))
    side, count = SHAPES[rng.integers(len(SHAPES))]
    scenes = [compose(rng, side, side, faces, photographs) for _ in range(count)]
    truth = [(torch.from_numpy(s.boxes), torch.from_numpy(s.landmarks), torch.from_numpy(s.wanted)) for s in scenes]
    return to_input(np.stack([s.picture for s in scenes])), truth, side


class Training:
    """A detector that is being trained, and all that going on with it needs."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options, self._path = options, options.run / "state.pt"
        self.network = make_network(options.backbone)
        self.optimiser = make_optimiser(self.network, options.rate)
        self.teacher = None if options.teacher is None else read_teacher(options.teacher)
        self.step, spent = 0, 0.0
        if self._path.exists():
            spent = self._resume()
        self._started, self._saved = time.monotonic() - spent, time.monotonic()
        self._means: dict[str, float] = {}

    def _resume(self) -> float:
        state = torch.load(self._path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        return float(state["spent"])

    def run(self, faces: Faces, photographs: list[np.ndarray], log: TextIO) -> None:
        """Steps until the minutes are over, with a row in the log after every twentieth."""
        while (elapsed := time.monotonic() - self._started) < self._options.minutes * 60:
            rate = self._set_rate(elapsed / (self._options.minutes * 60))
            self._learn(make_batch(self._options.seed, self.step, faces, photographs))
            self.step += 1
            if self.step % LOG_EVERY == 0:
                means = "\t".join(f"{k}={v:.3f}" for k, v in self._means.items())
                log.write(f"{self.step}\t{elapsed:.0f}\t{rate:.2e}\t{means}\n")
                log.flush()
            if time.monotonic() - self._saved > SAVE_EVERY:
                self.save()
                self._saved = time.monotonic()
        self.save()

    def _set_rate(self, progress: float) -> float:
        """The rate of the next step: up over the first hundred steps, then down by a cosine."""
        warming = min(1.0, (self.step + 1) / 100)
        rate = float(self._options.rate) * warming * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _learn(self, batch: Batch) -> None:
        pictures, truth, side = batch
        probability = None
        if self.teacher is not None:
            with torch.no_grad():
                probability = self.teacher(pictures)[1].softmax(-1)[..., 1]
        self.network.train()
        weights = DetectionLoss()
        matched = match(truth, make_anchors(side, side), weights)
        terms = detection_loss(self.network(pictures), matched, weights, probability)
        self.optimiser.zero_grad()
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        for name, value in terms.items():
            self._means[name] = 0.98 * self._means.get(name, value.item()) + 0.02 * value.item()

    def save(self) -> None:
        """Writes the state beside its file and renames it, so that a full disk keeps the previous one."""
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        torch.save(
            {**state, "step": self.step, "spent": time.monotonic() - self._started}, self._path.with_suffix(".part")
        )
        os.replace(self._path.with_suffix(".part"), self._path)


def make_optimiser(network: nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW, with decay for what multiplies and none for biases and norms."""
    decay = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate)


def read_teacher(path: Path) -> nn.Module:
    """A trained detector, whose probabilities soften what is learned."""
    return load_network(torch.load(path, map_location="cpu", weights_only=True)).eval()


def train(options: argparse.Namespace) -> None:
    """Runs until the minutes are over; writes RUN/state.pt (all that going on needs) and RUN/log.tsv."""
    torch.manual_seed(options.seed)
    cv2.setNumThreads(1)
    options.run.mkdir(parents=True, exist_ok=True)
    faces, photographs = Faces(options.faces, options.labels), read_photographs()
    training = Training(options)
    with (options.run / "log.tsv").open("a") as log:
        training.run(faces, photographs, log)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("labels", type=Path, help="what training.detector.labels wrote of them")
    parser.add_argument("run", type=Path)
    parser.add_argument("--backbone", type=Path, help="ImageNet features to start from")
    parser.add_argument(
        "--teacher", type=Path, help="RetinaFace mobile0.25 weights whose probabilities soften the class targets"
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
