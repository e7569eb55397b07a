"""A process of its own in which changed files of weights are loaded, within a limit of memory."""

from __future__ import annotations

import os
import resource
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from campaign.mutated_weights import Seeds, make

MEMORY = 6 << 30


def attempt(number: int, path: Path) -> str:
    """`loaded`, `refused`, or what came instead. The model is run, too, where it loads."""
    import torch

    from gpen_core import load_detector, load_model
    from gpen_core.errors import GPENError

    try:
        if number % 7 == 0:
            load_detector(path, device="cpu")
        else:
            model = load_model(path, device="cpu", precision="fp32", prepare=number % 5 == 0)
            with torch.no_grad():
                model(torch.zeros(1, 3, model.config.in_size, model.config.in_size))
    except GPENError as error:
        if not str(error).isprintable() or len(str(error)) > 1500:
            return f"a message that is no line: {str(error)[:100]!r}"
        return "refused"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:100]}"
    return "loaded"


def child(first: int, count: int, folder: str, results: Any) -> None:
    """Runs cases and tells (number, kind, outcome, seconds) of each; (number, …, None, …) before it begins."""
    os.environ["HF_HOME"] = folder
    import torch

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    seeds = Seeds()
    for number in range(first, first + count):
        kind, suffix, content = make(number, seeds)
        path = Path(folder) / f"case{suffix}"
        path.write_bytes(content)
        results.send((number, kind, None, 0.0))
        start = time.monotonic()
        results.send((number, kind, attempt(number, path), time.monotonic() - start))
    results.send(None)
