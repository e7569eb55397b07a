"""`gpen train`: a prior, an embedding, a fine-tune, from a recipe; stopped at any moment, it goes on where it was."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .flags import ranged

if TYPE_CHECKING:
    from ..trainer import Places, Recipe, Sources

NAME = "train"
HELP = "train a prior or a restorer from a recipe, or go on where a run stopped"
EXAMPLE = (
    "gpen train finetune-256 --data faces/train --validation faces/val --out runs/mine "
    "--prior runs/prior/prior.safetensors --max-minutes 30"
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a TOML file, or the name of a shipped recipe")
    parser.add_argument(
        "--data",
        type=_place,
        required=True,
        metavar="DIR",
        help="folder of aligned faces or of .tar shards, subfolders included; or its address (s3://…)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the run; if it holds checkpoints, the run goes on",
    )
    parser.add_argument("--validation", type=_place, metavar="DIR", help="faces to judge by (default: some of --data)")
    parser.add_argument(
        "--maps",
        type=Path,
        metavar="DIR",
        help="for task segmentation: PNG maps of the faces' regions, named like the faces",
    )
    parser.add_argument("--prior", type=Path, metavar="FILE", help="prior to embed")
    parser.add_argument(
        "--generator",
        metavar="FILE",
        help="model to go on from, also by its name, as gpen-open-256 (in stage prior: a prior)",
    )
    parser.add_argument("--discriminator", type=Path, metavar="FILE", help="its discriminator (default: a fresh one)")
    parser.add_argument("--smaller", type=Path, metavar="FILE", help="network of half the size or less to grow from")
    parser.add_argument(
        "--smaller-discriminator", type=Path, metavar="FILE", help="the smaller network's discriminator"
    )
    parser.add_argument("--identity", type=Path, metavar="FILE", help="recognition network, for losses.identity")
    parser.add_argument(
        "--perceptual",
        type=Path,
        metavar="FILE",
        help="weights of the recipe's [backbone]: VGG-16, or EfficientNet-Lite0 (default: those of its package)",
    )
    add_max_minutes(parser, "stop after N minutes, with everything written")
    parser.add_argument(
        "--max-images", type=ranged(int, 1), metavar="N", help="stop once N images have been seen in all"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps … (default: what accelerate finds)")
    parser.add_argument("--threads", type=ranged(int, 1), metavar="N", help="CPU threads of the training process")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a recipe's value, as data.batch=4"
    )
    parser.add_argument("--fresh", action="store_true", help="throw away the checkpoints in --out and begin again")
    parser.add_argument(
        "--allow-changed",
        action="store_true",
        help="go on with another seed, loss, damage or set of faces than before; the card will tell",
    )
    parser.add_argument("--half", action="store_true", help="write the finished weights as float16")


def add_max_minutes(parser: argparse.ArgumentParser, told: str) -> None:
    """Adds --max-minutes, with this help."""
    parser.add_argument("--max-minutes", type=ranged(float, _LEAST_MINUTES), metavar="N", help=told)


class Stop:
    """A signal's handler: the first asks for an end, a later one raises KeyboardInterrupt.

    One interrupt at the terminal comes twice to a process that a launcher started: from the terminal, and from the
    launcher, which passes on its own. So what comes within a second of the first is the same one.
    """

    _SAME_SECONDS = 1.0

    def __init__(self) -> None:
        self._first: float | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self._first is not None

    def __call__(self, number: int, frame: object) -> None:
        """Takes a signal."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first > self._SAME_SECONDS:
            raise KeyboardInterrupt


def run(arguments: argparse.Namespace) -> int:
    """Trains; 0 when the files are written. A first interrupt stops after the step in hand, a second one at once."""
    import torch

    from ..trainer import Places, Sources, read_recipe
    from ..trainer.validation import summary

    recipe = read_recipe(arguments.recipe, _changes(arguments.set))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures, stopped = train_visibly(
        recipe,
        Places(data=arguments.data, out=arguments.out, validation=arguments.validation, maps=arguments.maps),
        Sources(
            prior=arguments.prior,
            generator=_generator(arguments.generator),
            discriminator=arguments.discriminator,
            smaller=arguments.smaller,
            smaller_discriminator=arguments.smaller_discriminator,
            identity=arguments.identity,
            perceptual=arguments.perceptual,
        ),
        minutes=arguments.max_minutes,
        images=arguments.max_images,
        device=arguments.device,
        fresh=arguments.fresh,
        allow_changed=arguments.allow_changed,
        half=arguments.half,
    )
    if figures:
        print(summary(figures))
    if _speaks():
        print(f"written to {arguments.out}{'; stopped, the same command goes on from there' if stopped else ''}")
    return 0


def train_visibly(
    recipe: Recipe,
    places: Places,
    sources: Sources,
    *,
    minutes: float | None = None,
    images: int | None = None,
    before: int = 0,
    **how: Any,
) -> tuple[dict[str, float], bool]:
    """`trainer.train` with a bar, ended in good order by an interrupt: its figures, and whether one came.

    minutes, images: at most so many. before: images that the bar leaves out, as seen by the model that this goes on
    from. how: as `train` takes it.
    """
    from tqdm import tqdm

    from ..trainer import Limits, train

    stop = Stop()
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    end = min(recipe.run.max_images, images or recipe.run.max_images)
    bar: tqdm[Any] | None = None

    def report(seen: int, losses: Mapping[str, float]) -> None:
        nonlocal bar
        if bar is None:  # what a model brings along was not seen by this run
            off = not _speaks()
            shown = {"total": end - before, "initial": seen - before}
            bar = tqdm(**shown, unit=" images", dynamic_ncols=True, smoothing=0.05, disable=off)
        bar.update(seen - before - bar.n)
        if losses:
            bar.set_postfix({name: f"{value:.3g}" for name, value in losses.items() if name in _SHOWN})

    limits = Limits(minutes=minutes, images=images, stopping=lambda: stop.asked)
    try:
        figures = train(recipe, places, sources, limits, report, **how)
    finally:
        if bar is not None:
            bar.close()
        for number, handler in previous.items():
            signal.signal(number, handler)
    _leave_group()
    return figures, stop.asked


def _speaks() -> bool:
    """Of all the processes that a launcher started, one does."""
    return os.environ.get("RANK", "0") == "0"


_LEAST_MINUTES = 0.0001
_SHOWN = ("d", "g", "content", "adversarial", "feature_matching", "r1", "path", "images_per_second")


def _place(text: str) -> Path | str:
    return text if "://" in text else Path(text)


def _generator(given: str | None) -> Path | None:
    """The file that is meant: a path, or a restorer's name in the zoo."""
    from ..weights import zoo
    from ..weights.location import locate_one

    if given is None or Path(given).exists() or zoo.lookup(given) is None:
        return None if given is None else Path(given)
    return locate_one(given, kind="restorer").path


def _changes(pairs: list[str]) -> dict[str, Any]:
    from ..errors import ConfigError
    from ..trainer.fields import parse_value

    changes: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise ConfigError(f"--set takes KEY=VALUE, as data.batch=4; got {pair!r}")
        changes[key] = parse_value(value)
    return changes


def _leave_group() -> None:
    """All processes of the run together: one that leaves while another is still at work can end with an abort."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
