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


def make_batch(
    seed: int, step: int, faces: Faces, photographs: list[np.ndarray]
) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]], int]:
    """Network input, ground truth and side of step `step`; depends on (seed, step) alone."""
    rng = np.random.default_rng((seed, step))
    side, count = SHAPES[rng.integers(len(SHAPES))]
    scenes = [compose(rng, side, side, faces, photographs) for _ in range(count)]
    truth = [(torch.from_numpy(s.boxes), torch.from_numpy(s.landmarks), torch.from_numpy(s.wanted)) for s in scenes]
    return to_input(np.stack([s.picture for s in scenes])), truth, side


def train(options: argparse.Namespace) -> None:
    """Runs until the minutes are over; writes RUN/state.pt (all that going on needs) and RUN/log.tsv."""
    torch.manual_seed(options.seed)
    cv2.setNumThreads(1)
    options.run.mkdir(parents=True, exist_ok=True)
    faces, photographs = Faces(options.faces, options.labels), read_photographs()
    network = make_network(options.backbone)
    teacher = None
    if options.teacher is not None:
        teacher = load_network(torch.load(options.teacher, map_location="cpu", weights_only=True)).eval()
    decay = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=options.rate
    )
    step, spent, state_path = 0, 0.0, options.run / "state.pt"
    if state_path.exists():
        state = torch.load(state_path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    weights = DetectionLoss()
    started, saved = time.monotonic() - spent, time.monotonic()
    means: dict[str, float] = {}
    with (options.run / "log.tsv").open("a") as log:
        while (elapsed := time.monotonic() - started) < options.minutes * 60:
            progress = elapsed / (options.minutes * 60)
            rate = options.rate * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
            for group in optimiser.param_groups:
                group["lr"] = rate
            pictures, truth, side = make_batch(options.seed, step, faces, photographs)
            probability = None
            if teacher is not None:
                with torch.no_grad():
                    probability = teacher(pictures)[1].softmax(-1)[..., 1]
            network.train()
            terms = detection_loss(
                network(pictures), match(truth, make_anchors(side, side), weights), weights, probability
            )
            loss = torch.stack(list(terms.values())).sum()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimiser.step()
            step += 1
            for name, value in terms.items():
                means[name] = 0.98 * means.get(name, value.item()) + 0.02 * value.item()
            if step % 20 == 0:
                log.write(
                    f"{step}\t{elapsed:.0f}\t{rate:.2e}\t" + "\t".join(f"{k}={v:.3f}" for k, v in means.items()) + "\n"
                )
                log.flush()
            if time.monotonic() - saved > SAVE_EVERY:
                save(state_path, network, optimiser, step, time.monotonic() - started)
                saved = time.monotonic()
    save(state_path, network, optimiser, step, time.monotonic() - started)


def save(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, step: int, spent: float) -> None:
    """Writes the state beside `path` and renames it, so that a full disk keeps the previous one."""
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent": spent}
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


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
