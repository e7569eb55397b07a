"""Trains the open occlusion network: python -m training.occluder.train FACES OUT.safetensors [--minutes 15]

FACES: a folder of aligned faces (JPEG), none of those by which the network is judged. OUT gets a running mean of the
weights, in halves, every minute, with its card in the header.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gpen_core.faces.occluder import OcclusionNetwork
from gpen_core.weights.tensors import read_tensors, save_tensors
from training.fitting import fit

from .scenes import compose, read_faces

ABOUT = Path(__file__).parent / "about.json"


def save(out: Path, network: nn.Module, steps: int) -> None:
    """Writes the weights and the card."""
    about = json.loads(ABOUT.read_text(encoding="utf-8"))
    about["training"]["steps"] = steps
    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_tensors(out, state, {"format": "pt", "gpen.occluder": json.dumps(about, ensure_ascii=False)})


def main() -> None:
    """Trains until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, help="weights to go on from: an OUT of before")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    rng, faces = np.random.default_rng(options.seed), read_faces(options.faces)
    network = OcclusionNetwork().to(memory_format=torch.channels_last).train()
    if options.start is not None:
        network.load_state_dict(read_tensors(options.start).tensors)

    def cost() -> torch.Tensor:
        pictures, masks = zip(*(compose(rng, faces) for _ in range(options.batch)), strict=True)
        crops = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(crops)
        return F.binary_cross_entropy_with_logits(logits.float(), torch.from_numpy(np.stack(masks)))

    fit(network, cost, partial(save, options.out), minutes=options.minutes, rate=options.rate, memory=0.99)


if __name__ == "__main__":
    main()
