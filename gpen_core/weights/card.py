"""Which card belongs to a file of weights, where the file does not say."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from ..config import GPENConfig, ModelCard, Task
from ..errors import ConfigError, WeightsError
from . import zoo
from .entry import ZooEntry


def choose_card(
    config: GPENConfig,
    *,
    where: str,
    stated: ModelCard | None = None,
    task: Task | None = None,
    entry: ZooEntry | None = None,
    name: str | None = None,
) -> ModelCard:
    """The card, from the first that tells: header, caller, zoo, file name (a guess, said in a warning), default.

    stated: the header's. task: the caller's. entry: the zoo's, known by hash or because the file was asked for by
    its name. name: the file's, without folder and suffix. `card.details["card_from"]` says which of them it was.
    Raises WeightsError when the caller's task contradicts the header.
    """
    if task is not None and task not in get_args(Task):
        raise ConfigError(f"task is {task!r}; it must be one of {', '.join(get_args(Task))}")
    if stated is not None:
        if task is not None and task != stated.task:
            raise WeightsError(
                f"{where} says in its header that it is for {stated.task}, not {task}; "
                f"`gpen convert --task {task}` writes a file with another card"
            )
        return stated
    alike = zoo.restorers_like(config)
    if task is not None:
        return _from(next((e for e in alike if e.card is not None and e.card.task == task), None), "caller", task, name)
    if entry is not None and entry.card is not None:
        return _from(entry, "zoo", None, None)
    named = zoo.lookup(name) if name is not None else None
    if named is not None and named.card is not None and named.config == config:
        warnings.warn(f"{where} is taken for {named.name} by its file name, which is a guess", stacklevel=2)
        return _from(named, "file name, a guess", None, None)
    others = sorted({e.card.task for e in alike if e.card is not None} - {"restoration"})
    also = f"; {' and '.join(others)} models have the same shapes" if others else ""
    warnings.warn(f"{where} does not say what it is for: taken for restoration{also} (give task=…)", stacklevel=2)
    return _from(None, "default", "restoration", name)


def _from(entry: ZooEntry | None, source: str, task: Task | None, name: str | None) -> ModelCard:
    details: Mapping[str, Any] = {"card_from": source}
    if entry is not None and entry.card is not None:
        card = replace(entry.card, details={**entry.card.details, **details})
        # A caller's task tells the kind of model, not whose it is.
        return card if task is None else replace(card, name=name or "unnamed", licence="unknown", origin="unknown")
    value_range = (0.0, 1.0) if task == "segmentation" else (-1.0, 1.0)
    return ModelCard(name=name or "unnamed", task=task or "restoration", value_range=value_range, details=details)
