"""A whole run, from recipe and folder to finished files."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..data import Degradation, FaceFolder, Feed, MappedFaces, read_weights
from ..data.folder import some
from ..errors import ConfigError, MissingPackageError, TrainingError
from ..files import sweep
from ..losses import LikenessLoss, coarse_distance
from ..measures.embedders import identity_measure
from ..measures.metrics import perceptual_distance
from ..measures.perceptual import DetectorFeatures, feature_distance
from ..weights.description import Header, encode
from ..weights.load import choose_device
from ..weights.tensors import save_tensors
from .backbones import backbone_losses, projected_discriminator
from .checkpoint import list_checkpoints
from .embedders import identity_loss
from .folder import alone, forget
from .loop import CHECKPOINTS, Limits, Loop, Report
from .recipe import Recipe
from .results import DISCRIMINATOR, MODEL, appearing_together, write_results
from .sources import Sources, load_sources
from .stages import PairLoss, build_stage
from .step import Stepper
from .validation import Measure, Validation


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of a run: faces to train on, faces to judge by (None: some of the former), either also by address (see
    `FaceFolder`), and where everything is written. maps: for task segmentation, the maps of all these faces (see
    `MappedFaces`). Raises ConfigError where it would be written among the faces.
    """

    data: Path | str
    out: Path
    validation: Path | str | None = None
    maps: Path | None = None

    def __post_init__(self) -> None:
        for name in ("data", "out", "validation", "maps"):  # as text, too
            given = getattr(self, name)
            if isinstance(given, str) and "://" not in given:
                object.__setattr__(self, name, Path(given))
        for faces in (self.data, self.validation):
            if isinstance(faces, Path) and self.out.resolve().is_relative_to(faces.resolve()):
                raise ConfigError(
                    f"the run's folder {self.out} lies within {faces}: its grids would be faces to learn; name another"
                )


def train(
    recipe: Recipe,
    places: Places,
    sources: Sources,
    limits: Limits,
    report: Report,
    *,
    device: str = "auto",
    fresh: bool = False,
    allow_changed: bool = False,
    half: bool = False,
) -> dict[str, float]:
    """Runs the recipe, or goes on where `places.out` stands; the validation's figures at the end.

    fresh: throws away what is in the folder's checkpoints. allow_changed: goes on from those of another seed, loss or
    set of faces, and the card tells of it. half: the finished weights as float16.
    Raises TrainingError, ConfigError, DeviceError, WeightsError for what cannot be trained, before the first step where
    that can be known; InputError where another run is at work in `places.out`.
    """
    if places.out.is_file():
        raise TrainingError(f"{places.out} is a file; a run is written into a folder")
    if fresh or not list_checkpoints(places.out / CHECKPOINTS):  # a run that goes on has in them what they gave
        sources.refuse_missing()
    if recipe.stage == "embed":
        with alone(places.out):
            return embed_only(recipe, places.out, sources)
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise MissingPackageError("training needs accelerate; install gpen[train]") from error
    chosen = choose_device(device)
    faces = open_faces(recipe, places, places.data)
    processes = Accelerator(cpu=chosen.type == "cpu")
    if processes.num_processes < launched():
        raise TrainingError(
            f"{launched()} processes were launched, and on {chosen.type} they cannot know of each other; start one"
        )
    target = processes.device if device == "auto" or processes.num_processes > 1 else chosen
    with alone(places.out) if processes.is_main_process else contextlib.nullcontext():
        if processes.is_main_process:
            sweep(places.out)
        processes.wait_for_everyone()
        loop = _loop(recipe, places, sources, faces, processes, target, fresh=fresh, allow_changed=allow_changed)
        _refuse_no_step(loop, limits)
        if fresh and processes.is_main_process:  # not before there is something to begin with
            forget(places.out)
        loop.run(limits, report)
        if not processes.is_main_process:
            return {}
        return write_results(loop.stepper, places.out, loop.validation, half=half)


def _refuse_no_step(loop: Loop, limits: Limits) -> None:
    """Raises TrainingError for a new run that is over before its first step."""
    seen = loop.progress.images
    if loop.progress.steps == 0 and limits.images is not None and seen >= limits.images:
        raise TrainingError(
            f"the model that this goes on from has seen {seen} images, and the run is to end at {limits.images} in all;"
            f" set that to {seen} and as many as it is to see (--max-images)"
        )


def _loop(
    recipe: Recipe,
    places: Places,
    sources: Sources,
    faces: FaceFolder | MappedFaces,
    processes: Any,
    target: torch.device,
    *,
    fresh: bool,
    allow_changed: bool,
) -> Loop:
    """All that a run is made of, with the weights that it begins with, or goes on from."""
    judge = None
    if recipe.losses.discriminator == "projected":
        drawn = torch.Generator().manual_seed(recipe.seed)
        judge = projected_discriminator(recipe, sources.perceptual, target, drawn)
    stage = build_stage(recipe, target, extra_losses(recipe, sources, target), discriminator=judge)
    going_on = not fresh and bool(list_checkpoints(places.out / CHECKPOINTS))
    facts = {} if going_on else load_sources(stage, sources)
    stepper = Stepper(stage, recipe, processes, target)
    degradation = Degradation(recipe.data.degradation if stage.paired else "none", jpeg=recipe.data.jpeg)
    on_device = target.type != "cpu" if recipe.data.on_device is None else recipe.data.on_device
    feed = Feed(faces, degradation, seed=recipe.seed, on_device=on_device)
    validation = None
    if recipe.run.validation_pictures and processes.is_main_process:
        judged = faces if places.validation is None else open_faces(recipe, places, places.validation)
        measures = extra_measures(recipe, sources) if stage.paired else {}
        validation = Validation(judged, degradation, recipe.run.validation_pictures, measures=measures)
    loop = Loop(stepper, feed, places.out, rank=processes.process_index, validation=validation)
    files = sources.digests()
    if fresh or not loop.resume(allow_changed=allow_changed, sources=files):
        begin(stepper, facts)
        stepper.progress.sources = files
    return loop


def launched() -> int:
    """How many processes `torchrun` or `accelerate launch` started together, this one among them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def open_faces(recipe: Recipe, places: Places, folder: Path | str) -> FaceFolder | MappedFaces:
    """The faces of `folder`, with their maps where the recipe's task learns from maps.

    Raises TrainingError where they do not fit, or maps are missing, or given to another task.
    """
    mapped = recipe.task == "segmentation" and recipe.stage == "finetune"
    if mapped and places.maps is None:
        raise TrainingError("task segmentation learns faces from maps of their regions; name their folder with --maps")
    if not mapped and places.maps is not None:
        raise TrainingError(f"--maps is for task segmentation; this recipe is stage {recipe.stage}, task {recipe.task}")
    weights = _weights(recipe) if folder == places.data else None
    faces = FaceFolder(folder, recipe.network.config.out_size, upscale=recipe.data.upscale, weights=weights)
    if faces.unreadable:
        warnings.warn(f"left out, as they cannot be read: {some(faces.unreadable)}", RuntimeWarning, stacklevel=3)
    return faces if places.maps is None else MappedFaces(faces, places.maps)


def embed_only(recipe: Recipe, out: Path, sources: Sources) -> dict[str, float]:
    """Stage 2 by itself: writes a GPEN with a prior inside and a new encoder, and the prior's discriminator beside it;
    no figures.
    """
    if sources.prior is None:
        raise TrainingError("stage embed puts a prior into a new GPEN; name the prior's file with --prior")
    stage = build_stage(replace(recipe, stage="finetune"), torch.device("cpu"))
    seen = load_sources(stage, sources)["seen"]
    card = recipe.card({"recipe": recipe.to_dict(), "images_seen": seen})
    metadata = encode(Header(recipe.network.config, card))
    with appearing_together(out) as folder:
        save_tensors(folder / MODEL, stage.generator.state_dict(), metadata)
        if sources.discriminator is not None:
            save_tensors(folder / DISCRIMINATOR, stage.discriminator.state_dict(), metadata)
    return {}


def extra_losses(recipe: Recipe, sources: Sources, device: torch.device) -> dict[str, tuple[float, PairLoss]]:
    """The further losses that the recipe weighs. Raises ConfigError where a network is not given."""
    made: dict[str, tuple[float, PairLoss]] = {}
    losses = recipe.losses
    if losses.identity:
        if sources.identity is None:
            raise ConfigError(
                f"losses.identity is {losses.identity}; name its network's weights with --identity, or set it to 0"
            )
        made["identity"] = (losses.identity, identity_loss(sources.identity, device))
    if losses.likeness:
        made["likeness"] = (losses.likeness, LikenessLoss())
    if losses.coarse:
        made["coarse"] = (losses.coarse, coarse_distance)
    return made | backbone_losses(recipe, sources.perceptual, device)


def extra_measures(recipe: Recipe, sources: Sources) -> dict[str, Measure]:
    """The distance that the shipped detector's backbone sees; LPIPS where the recipe asks for it, identity where its
    network is given.
    """
    measures: dict[str, Measure] = {"perceptual": feature_distance(DetectorFeatures())}
    if recipe.run.lpips:
        measures["lpips"] = perceptual_distance()
    if sources.identity is not None:
        measures["identity"] = identity_measure(sources.identity)
    return measures


def begin(stepper: Stepper, facts: Mapping[str, Any]) -> None:
    """Sets the counters of a new run: where this stage was continued from a shipped model, the sampler goes on after
    what it has seen.
    """
    progress, recipe = stepper.progress, stepper.recipe
    seen = dict(facts["seen"])
    progress.images = int(seen.pop(recipe.stage, 0))
    if progress.images >= recipe.run.max_images:
        raise TrainingError(
            f"the model that this goes on from has seen {progress.images} images, and the recipe ends at "
            f"{recipe.run.max_images}; set run.max_images to more than both (--set run.max_images=N)"
        )
    progress.started_at = progress.images
    progress.inherited = seen
    if facts["fresh"] and recipe.stage == "finetune":
        progress.fresh_until = max(progress.images, recipe.losses.adversarial_from) + recipe.rates.fresh_images


def _weights(recipe: Recipe) -> dict[str, float] | None:
    return None if recipe.data.weights is None else read_weights(recipe.data.weights)
