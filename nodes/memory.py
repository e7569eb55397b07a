"""Answers of networks that are kept, so that a moved slider does not ask them again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

#: A batch of more pictures is a film: it is seen once, and keeping its answers would only take memory.
MOST_PICTURES = 16
#: Bytes of answers that one network's memory holds: some eighty faces of 512 px.
_ROOM = 256 * 1024**2


class Memory:
    """Answers by what was asked, the latest last; the oldest go when there is no room."""

    def __init__(self, room: int = _ROOM) -> None:
        self._answers: OrderedDict[bytes, Any] = OrderedDict()
        self._room, self._taken = room, 0

    def get(self, key: bytes) -> Any | None:
        """The answer, or None."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def put(self, key: bytes, answer: Any) -> None:
        """Keeps an answer."""
        if key in self._answers:
            self._taken -= _bytes(self._answers.pop(key))
        self._answers[key] = answer
        self._taken += _bytes(answer)
        while self._taken > self._room and self._answers:
            self._taken -= _bytes(self._answers.popitem(last=False)[1])


class Remembering:
    """A network, detector or parser that is asked only for pictures it has not seen; else like the one inside.

    Pictures are told by their content, so that nothing depends on which node asks.
    """

    def __init__(self, part: Any, memory: Memory) -> None:
        self._part, self._memory = part, memory

    def __getattr__(self, name: str) -> Any:
        """What the core asks of the part: its configuration, card, device, or the size it works at."""
        return getattr(self._part, name)

    def __call__(self, inputs: Tensor) -> Any:
        """What the part gives for `inputs` (B, …)."""
        keys = [_key(one) for one in inputs]
        known = {key: self._memory.get(key) for key in keys}
        unknown = {key: keys.index(key) for key, answer in known.items() if answer is None}
        if unknown:
            given = self._part(inputs if len(unknown) == len(keys) else inputs[list(unknown.values())])
            for key, answer in zip(unknown, given, strict=True):
                known[key] = answer
                self._memory.put(key, answer.clone() if isinstance(answer, Tensor) else answer)
        answers = [known[key] for key in keys]
        return torch.stack(answers) if isinstance(answers[0], Tensor) else answers


class Latest:
    """What was made last, for as long as the same is asked: a slider then only mixes it anew.

    ComfyUI hands a node the very objects of the run before where nothing above it changed.
    """

    def __init__(self, room: int = _ROOM) -> None:
        self._kept: tuple[tuple[Any, ...], Any, tuple[Any, ...]] | None = None
        self._room = room

    def get(self, objects: tuple[Any, ...], settings: Any) -> tuple[Any, ...] | None:
        """What was made of these very objects by equal settings."""
        if self._kept is None:
            return None
        known, by, made = self._kept
        same = len(objects) == len(known) and all(one is other for one, other in zip(objects, known, strict=True))
        return made if same and settings == by else None

    def put(self, objects: tuple[Any, ...], settings: Any, made: tuple[Any, ...]) -> None:
        """Keeps it, unless it is large, and lets go of what was kept. What it was made of ComfyUI keeps as well."""
        small = sum(_bytes(part) for part in made if isinstance(part, Tensor)) <= self._room
        self._kept = (objects, settings, made) if small else None


def _key(picture: Tensor) -> bytes:
    pixels = picture.detach().to("cpu").contiguous()
    digest = hashlib.sha256(f"{pixels.dtype}{tuple(pixels.shape)}".encode())
    digest.update(pixels.view(torch.uint8).numpy())
    return digest.digest()


def _bytes(answer: Any) -> int:
    if isinstance(answer, Tensor):
        return answer.numel() * answer.element_size()
    return 256 * (1 + len(answer)) if isinstance(answer, Sequence) else 256
