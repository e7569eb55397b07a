"""Teaches a restorer to give its own results sharper: python training/open_model/sharpen.py MODEL FACES VALIDATION OUT

An L1 loss leaves the blurred middle of what a picture may have been. Here the network learns from itself: its target
is what it gave at the start, with the fine structure stronger by AMOUNT × how much of the original's the damage took,
but nowhere beyond what the neighbourhood already holds. So a good picture stays as it is, and a bad one gets firm edges
without a rim where the network has found any. Only the decoder's largest resolutions learn: what is on the picture is
settled below them. Loop, checkpoints and results are those of `gpen train`; the same command again goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gpen_core.architecture import GPEN, StyleGAN2Prior
from gpen_core.data import Batch
from gpen_core.errors import ConfigError
from gpen_core.losses import content, fine_structure
from gpen_core.trainer import Limits, Places, Sources, read_recipe, train
from gpen_core.trainer.results import MODEL
from gpen_core.trainer.stages import Augment, FinetuneStage
from gpen_core.weights import checkpoint
from gpen_core.weights.checkpoint import Checkpoint

RECIPE = Path(__file__).parent / "finetune-256.toml"
FINEST = 20.0
"""Weight of the finest structure beside the content loss."""


def lost_share(originals: Tensor, damaged: Tensor) -> Tensor:
    """(B,) in [0, 1]: how much of the fine structure of `originals` (B, 3, H, W) is gone in `damaged`, of their shape.

    It is (1 - r)², r being the correlation of the two pictures' differences from their mean of 5×5 pixels: 0 for an
    untouched picture, near 1 where blur or noise has left nothing of it.
    """
    ours, theirs = fine_structure(originals, 5).flatten(1), fine_structure(damaged, 5).flatten(1)
    return (1 - F.cosine_similarity(ours, theirs, dim=1).clamp(0, 1)).square()


def sharpened(results: Tensor, shares: Tensor, amount: float) -> Tensor:
    """`results` (B, 3, H, W) with their difference from the mean of 3×3 pixels stronger by amount · shares (B,), each
    value within the range of the 5×5 around it.
    """
    stronger = results + amount * shares[:, None, None, None] * fine_structure(results, 3)
    lowest, highest = -F.max_pool2d(-results, 5, 1, 2), F.max_pool2d(results, 5, 1, 2)
    return stronger.clamp(lowest, highest)


class Sharpening(FinetuneStage):
    """A restorer that learns what it gave at the start, sharpened.

    levels: how many of the decoder's resolutions learn, the largest first.
    """

    def __init__(self, stage: FinetuneStage, first: Checkpoint, amount: float, levels: int) -> None:
        super().__init__(stage.generator, stage.discriminator, stage.losses)
        self._teacher = GPEN(first.config, first.card).eval().requires_grad_(False)
        self._teacher.load_state_dict(first.state_dict)
        self._teacher.to(next(stage.generator.parameters()).device)
        self._amount = amount
        prior = stage.generator.generator
        if not isinstance(prior, StyleGAN2Prior):
            raise ConfigError(f"the prior {prior.name!r} has no resolutions that could learn by themselves")
        stage.generator.requires_grad_(False)
        self._learning = nn.ModuleList([*prior.convs[-2 * levels :], *prior.to_rgbs[-levels:]]).requires_grad_(True)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Those that learn, at the decoder's rate."""
        return {"decoder": list(self._learning.parameters())}

    def loss(
        self, fake: Tensor, batch: Batch, *, adversarial: bool, matching: bool, augment: Augment | None
    ) -> dict[str, Tensor]:
        """The content loss against the sharpened target, and that of the finest structure, which it hardly sees."""
        with torch.no_grad():
            first = self._teacher(self._given(batch.damaged))
            target = sharpened(first, lost_share(batch.clean, batch.damaged), self._amount)
        return {"content": content(fake, target), "finest": FINEST * content(finest(fake), finest(target))}


def finest(pictures: Tensor) -> Tensor:
    """What two differences from the mean of 3×3 pixels leave of `pictures` (B, 3, H, W): edges of a pixel or two."""
    return fine_structure(fine_structure(pictures, 3), 3)


def main() -> None:
    """Reads the command line, trains, and writes what `gpen train` writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="of MODEL: network, data and run")
    parser.add_argument("--start", type=Path, help="what is trained, where it is not MODEL: MODEL's own later form")
    parser.add_argument("--amount", type=float, default=7.0)
    parser.add_argument("--levels", type=int, default=2, help="the largest resolutions, which learn")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--half-life", type=int, default=0, help="images that halve the rate; 0: none")
    parser.add_argument("--max-images", type=int, help="of this step")
    parser.add_argument("--max-minutes", type=float)
    options = parser.parse_args()
    rates = {"rates.decoder": options.rate, "rates.half_life": options.half_life}
    recipe = read_recipe(options.recipe, {**rates, "losses.adversarial": 0.0, "losses.r1": 0.0})
    first, start = checkpoint.read(options.model), options.start or options.model
    before = images_seen(checkpoint.read(start))
    train(
        recipe,
        Places(data=options.faces, validation=options.validation, out=options.out),
        Sources(generator=start),
        Limits(minutes=options.max_minutes, images=None if options.max_images is None else before + options.max_images),
        lambda images, losses: None,
        adapt=lambda stage: Sharpening(stage, first, options.amount, options.levels),
    )
    made = checkpoint.read(options.out / MODEL)
    step = {"amount": options.amount, "images": images_seen(made) - before}
    card = replace(made.card, details={**made.card.details, "sharpened": step})
    checkpoint.write(options.out / MODEL, dict(made.state_dict), made.config, card)
    print(f"{options.out / MODEL}: {step['images']} images")


def images_seen(stored: Checkpoint) -> int:
    """How many images a restorer has been fine-tuned on."""
    return int(stored.card.details.get("images_seen", {}).get("finetune", 0))


if __name__ == "__main__":
    main()
