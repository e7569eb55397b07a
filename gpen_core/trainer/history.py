"""What a run was when it stopped beside what it is to be now: what may differ, and what its card tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import ChangedRunError, TrainingError
from .progress import Progress
from .recipe import Recipe

# Changes nothing that is learnt, or only where the run ends and what it writes; or is compared in another way.
_FREE = (
    *("name", "licence", "origin", "stage", "network", "run"),
    *("data.batch", "data.accumulate", "data.workers", "data.on_device", "data.weights", "data.upscale"),
)
# Is changed on the way as a matter of course; the card tells when.
_TOLD = ("rates", "run.precision", "run.ema_half_life", "run.ema_ramp")
# Neither, though its table is free.
_ASKED = ("network.template",)

Changes = dict[str, tuple[Any, Any]]


def go_on(
    where: str,
    before: Recipe,
    now: Recipe,
    progress: Progress,
    *,
    faces: str,
    sources: Mapping[str, str],
    ranks: int,
    allow_changed: bool,
) -> None:
    """Writes into `progress` what has changed since its checkpoint.

    faces: fingerprint of the training faces; sources: hashes of the files to start from, those that are named again;
    ranks: how many processes there are.
    Raises TrainingError for another network or stage, and, unless they are allowed, ChangedRunError for another seed,
    task, loss, damage, size of a step, set of faces or file that it began from: the finished card would tell of a run
    that never was.
    """
    if other := _differing(_identity(before), _identity(now)):
        raise TrainingError(f"{where} is of another run ({_shown(other)}); use its recipe, another --out, or --fresh")
    found = _differing(dict(_flat(before.to_dict())), dict(_flat(now.to_dict())))
    noted = {key: pair for key, pair in found.items() if _under(key, _TOLD)}
    asked = {key: pair for key, pair in found.items() if _under(key, _ASKED) or not _under(key, (*_FREE, *_TOLD))}
    if progress.faces and progress.faces != faces:
        asked["faces"] = (progress.faces, faces)
    known = {name: digest for name, digest in progress.sources.items() if name in sources}
    asked |= _differing(known, {name: sources[name] for name in known})
    batches = before.data.batch * before.data.accumulate, now.data.batch * now.data.accumulate
    if batches[0] != batches[1]:
        asked["data.batch × data.accumulate"] = batches
    if asked and not allow_changed:
        raise ChangedRunError(
            f"{where} was trained otherwise ({_shown(asked)}); go on as before, or say --allow-changed, "
            "and the card tells what was changed when; another --out or --fresh begins anew",
            _shown(asked),
        )
    if asked or noted:
        changed = {key: list(pair) for key, pair in {**asked, **noted}.items()}
        progress.history.append({"images": progress.images, "changed": changed})
    progress.faces = faces
    progress.sources = {**progress.sources, **{name: sources[name] for name in known}}
    if batches[0] != batches[1] or not progress.step_images:
        progress.step_images = batches[1] * ranks


def history_lines(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """One for every time that something was changed."""
    return [
        f"From image {entry['images']:,} on: "
        + "; ".join(f"`{key}` {before} → {now}" for key, (before, now) in entry["changed"].items())
        + "."
        for entry in history
    ]


def _identity(recipe: Recipe) -> dict[str, Any]:
    return {"stage": recipe.stage, **recipe.network.config.to_dict()}


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    return {k: (before.get(k), now.get(k)) for k in {**before, **now} if before.get(k) != now.get(k)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _under(key: str, places: tuple[str, ...]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)


def _shown(differing: Changes) -> str:
    return "; ".join(f"{key}: {before} there, {now} here" for key, (before, now) in differing.items())
