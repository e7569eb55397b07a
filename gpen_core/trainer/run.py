"""A whole run, from recipe and folder to finished files."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..architecture import GPEN
from ..config import ModelCard
from ..data import Degradation, FaceFolder, Feed, read_weights
from ..errors import ConfigError, MissingPackageError, TrainingError
from ..losses import EmbeddingLoss
from ..metrics import perceptual_distance
from ..weights.checkpoint import save_tensors
from ..weights.header import Header, encode
from .checkpoint import list_checkpoints
from .embedders import identity_loss, identity_measure, perceptual_loss
from .loop import CHECKPOINTS, Limits, Loop, Report
from .recipe import Recipe
from .results import DISCRIMINATOR, MODEL, write_results
from .stages import Stage, build_stage
from .start import embed_prior, grow, load_discriminator, load_generator, read_network, same_config
from .step import Stepper
from .validation import Measure, Validation


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Files that a run starts from; all optional.

    prior: of stage 1, embedded into a new GPEN. generator: a prior (stage prior) or GPEN that goes on, its averaged
    weights become the trained ones.
    discriminator: None leaves a fresh one. smaller: a network of half the size or less, to grow from;
    smaller_discriminator: its discriminator. identity, perceptual: weights of the networks of those
    losses (ArcFace, VGG-16).
    """

    prior: Path | None = None
    generator: Path | None = None
    discriminator: Path | None = None
    smaller: Path | None = None
    smaller_discriminator: Path | None = None
    identity: Path | None = None
    perceptual: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of a run: faces to train on, faces to judge by (None: some of the former), and where everything is
    written.
    """

    data: Path
    out: Path
    validation: Path | None = None


def train(
    recipe: Recipe,
    places: Places,
    sources: Sources,
    limits: Limits,
    report: Report,
    *,
    device: str = "auto",
    fresh: bool = False,
    half: bool = False,
) -> dict[str, float]:
    """Runs the recipe, or goes on where `places.out` stands; the validation's figures at the end.

    fresh: throws away what is in the folder's checkpoints. half: the finished weights as float16.
    Raises TrainingError, ConfigError, WeightsError for what cannot be trained, before the first step where that can be
    known.
    """
    if recipe.stage == "embed":
        return embed_only(recipe, places.out, sources)
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise MissingPackageError("training needs accelerate; install gpen[train]") from error
    faces = FaceFolder(
        places.data, recipe.network.config.out_size, upscale=recipe.data.upscale, weights=_weights(recipe)
    )
    if faces.unreadable:
        shown = ", ".join(faces.unreadable[:5])
        warnings.warn(
            f"{len(faces.unreadable)} files cannot be read and are left out: {shown}", RuntimeWarning, stacklevel=2
        )
    processes = Accelerator(cpu=device == "cpu")
    target = processes.device if device == "auto" or processes.num_processes > 1 else torch.device(device)
    if fresh and processes.is_main_process:
        shutil.rmtree(places.out / CHECKPOINTS, ignore_errors=True)
        (places.out / "log.jsonl").unlink(missing_ok=True)
        shutil.rmtree(places.out / "tensorboard", ignore_errors=True)
    processes.wait_for_everyone()
    places.out.mkdir(parents=True, exist_ok=True)
    stage = build_stage(recipe, target, extra_losses(recipe, sources, target))
    going_on = bool(list_checkpoints(places.out / CHECKPOINTS))
    facts = {} if going_on else load_sources(stage, sources)
    stepper = Stepper(stage, recipe, processes, target)
    degradation = Degradation(recipe.data.degradation if stage.paired else "none", jpeg=recipe.data.jpeg)
    on_device = target.type != "cpu" if recipe.data.on_device is None else recipe.data.on_device
    feed = Feed(faces, degradation, seed=recipe.seed, on_device=on_device)
    validation = None
    if recipe.run.validation_pictures and processes.is_main_process:
        judged = (
            faces
            if places.validation is None
            else FaceFolder(places.validation, faces.size, upscale=recipe.data.upscale)
        )
        measures = extra_measures(recipe, sources) if stage.paired else {}
        validation = Validation(judged, degradation, recipe.run.validation_pictures, measures=measures)
    loop = Loop(stepper, feed, places.out, rank=processes.process_index, validation=validation)
    if not loop.resume():
        begin(stepper, facts)
    loop.run(limits, report)
    return write_results(stepper, places.out, validation, half=half) if processes.is_main_process else {}


def embed_only(recipe: Recipe, out: Path, sources: Sources) -> dict[str, float]:
    """Stage 2 by itself: writes a GPEN with a prior inside and a new encoder, and the prior's discriminator beside it;
    no figures.
    """
    if sources.prior is None:
        raise TrainingError("stage embed puts a prior into a new GPEN; name the prior's file with --prior")
    stage = build_stage(replace(recipe, stage="finetune"), torch.device("cpu"))
    seen = load_sources(stage, sources)["seen"]
    out.mkdir(parents=True, exist_ok=True)
    card = ModelCard(
        name=recipe.name,
        template=recipe.network.template,
        licence=recipe.licence,
        origin=recipe.origin,
        details={"recipe": recipe.to_dict(), "images_seen": seen},
    )
    metadata = encode(Header(recipe.network.config, card))
    save_tensors(out / MODEL, stage.generator.state_dict(), metadata)
    if sources.discriminator is not None:
        save_tensors(out / DISCRIMINATOR, stage.discriminator.state_dict(), metadata)
    return {}


def extra_losses(recipe: Recipe, sources: Sources, device: torch.device) -> dict[str, tuple[float, EmbeddingLoss]]:
    """The identity and perceptual losses that the recipe weighs. Raises ConfigError where a network is not given."""
    made = {}
    for name, weight, path, build in (
        ("identity", recipe.losses.identity, sources.identity, identity_loss),
        ("perceptual", recipe.losses.perceptual, sources.perceptual, perceptual_loss),
    ):
        if not weight:
            continue
        if path is None:
            raise ConfigError(f"losses.{name} is {weight}; name its network's weights with --{name}, or set it to 0")
        made[name] = (weight, build(path, device))
    return made


def extra_measures(recipe: Recipe, sources: Sources) -> dict[str, Measure]:
    """LPIPS where the recipe asks for it, identity where its network is given."""
    measures: dict[str, Measure] = {}
    if recipe.run.lpips:
        measures["lpips"] = perceptual_distance()
    if sources.identity is not None:
        measures["identity"] = identity_measure(sources.identity)
    return measures


def load_sources(stage: Stage, sources: Sources) -> dict[str, Any]:
    """Puts the sources' weights into the stage's networks. What they had seen, by stage, and whether the discriminator
    is fresh.
    """
    facts: dict[str, Any] = {
        "seen": {},
        "fresh": sources.discriminator is None and sources.smaller_discriminator is None,
    }
    config = stage.discriminator.config
    if sources.prior is not None:
        if not isinstance(stage.generator, GPEN):
            raise TrainingError(
                "--prior embeds a prior in a GPEN: it belongs to stage finetune or embed;"
                " to go on with a prior use --generator"
            )
        state, stated, details = read_network(sources.prior, part="g_ema")
        if stated is not None and stated.concat == config.concat:
            same_config(config, stated, str(sources.prior))
        embed_prior(stage.generator, state, name=str(sources.prior))
        facts["seen"] |= _seen(details)
    if sources.generator is not None:
        state, stated, details = read_network(sources.generator, part="g_ema")
        same_config(config, stated, str(sources.generator))
        load_generator(stage.generator, state, name=str(sources.generator))
        facts["seen"] |= _seen(details)
    if sources.smaller is not None:
        state, _, details = read_network(sources.smaller)
        grow(stage.generator, state)
        facts["seen"] |= {f"{key}, smaller": value for key, value in _seen(details).items()}
    if sources.smaller_discriminator is not None:
        grow(stage.discriminator, read_network(sources.smaller_discriminator)[0])
    if sources.discriminator is not None:
        state, stated, _ = read_network(sources.discriminator, part="d")
        same_config(config, stated, str(sources.discriminator))
        load_discriminator(stage.discriminator, state, name=str(sources.discriminator))
    return facts


def begin(stepper: Stepper, facts: Mapping[str, Any]) -> None:
    """Sets the counters of a new run: where this stage was continued from a shipped model, the sampler goes on after
    what it has seen.
    """
    progress, recipe = stepper.progress, stepper.recipe
    seen = dict(facts["seen"])
    progress.images = int(seen.pop(recipe.stage, 0))
    progress.started_at = progress.images
    progress.inherited = seen
    if facts["fresh"] and recipe.stage == "finetune":
        progress.fresh_until = max(progress.images, recipe.losses.adversarial_from) + recipe.rates.fresh_images


def _seen(details: Mapping[str, Any]) -> dict[str, int]:
    seen = details.get("images_seen", {})
    return {str(stage): int(count) for stage, count in seen.items()} if isinstance(seen, Mapping) else {}


def _weights(recipe: Recipe) -> dict[str, float] | None:
    return None if recipe.data.weights is None else read_weights(recipe.data.weights)
