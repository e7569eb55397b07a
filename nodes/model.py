"""GPEN_MODEL: a network with its detector, parser and occluder, each under a model patcher. What is cached is cached
here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ..gpen_core.config import GPENConfig, ModelCard, Task
from ..gpen_core.contracts import larger_of
from ..gpen_core.errors import HubError, InputError, WeightsError
from ..gpen_core.faces.occlusion import CONTRADICTION
from ..gpen_core.weights import load_detector, load_model, load_occluder, load_parser
from . import adapter, files
from .memory import MOST_PICTURES, Latest, Memory, Remembering
from .run import Watched

# Bytes that one face takes on its way through the network, per pixel of its output (measured at 512, float32).
_BYTES_PER_PIXEL = 3000
_BYTES_PER_FRAME_PIXEL = 200


class FaceModel:
    """A restoring network, and on demand the detector, the parser and the occluder that were chosen with it.

    These are read when a node first needs them and kept from then on.
    """

    def __init__(
        self,
        network: Any,
        *,
        name: str,
        detector: str = files.AUTO,
        parser: str = files.AUTO,
        occluder: str = files.AUTO,
    ) -> None:
        self.name = name
        self.network = network
        self.patcher = adapter.patch(network)
        self._choices = {"detector": detector, "parser": parser, "occluder": occluder}
        self._parts: dict[str, tuple[Any, Any]] = {}
        self._memories = {kind: Memory() for kind in ("network", *self._choices)}
        self.latest = Latest()

    @property
    def config(self) -> GPENConfig:
        """What the network is."""
        config: GPENConfig = self.network.config
        return config

    @property
    def card(self) -> ModelCard:
        """What its weights expect."""
        card: ModelCard = self.network.card
        return card

    def require(self, task: Task, *, node: str) -> None:
        """Raises InputError when this model was made for another task than the node's."""
        if self.card.task != task:
            raise InputError(
                f"{node} needs a model for {task}, {self.name} is one for {self.card.task}; "
                "choose another model or task in Load GPEN Model"
            )

    def detector(self) -> Any:
        """The detector, read at the first call. Raises WeightsError where none is to be had."""
        return self._part("detector", _load_detector)[0]

    def parser(self, *, needed: bool = False) -> Any | None:
        """The parser, read at the first call; None where none was chosen or, with auto, none is on disk.

        needed: with auto, one is fetched. Raises WeightsError when one is needed and "none" was chosen.
        """
        choice = self._choices["parser"]
        if choice == files.NONE:
            if needed:
                raise WeightsError(
                    "this node needs a face parser; choose auto or parsenet as parser in Load GPEN Model"
                )
            return None
        if "parser" not in self._parts and choice == files.AUTO and not needed and files.parser_file(choice) is None:
            return None
        return self._part("parser", _load_parser)[0]

    def asked(self, kind: Literal["network", "detector", "parser", "occluder"], *, pictures: int = 1) -> Any:
        """The network or a part (read before), as a node calls it: cancel is heeded, and what it said of a picture is
        remembered, unless it is one of so many `pictures` that they are a film. In an occluder's place: the word for
        none, where it was chosen.
        """
        if self._choices.get(kind) == CONTRADICTION:
            return CONTRADICTION
        watched = Watched(self.network if kind == "network" else self._parts[kind][0])
        return Remembering(watched, self._memories[kind]) if pictures <= MOST_PICTURES else watched

    def prepare(
        self,
        *,
        network: bool = True,
        detector: bool = False,
        parser: bool = False,
        occluder: bool = False,
        frame_pixels: int = 0,
    ) -> None:
        """Puts what a node is about to use on the compute device, all together.

        frame_pixels: of one picture that the detector will see.
        """
        patchers = [self.patcher] if network else []
        if detector:
            patchers.append(self._part("detector", _load_detector)[1])
        if parser and self.parser() is not None:
            patchers.append(self._parts["parser"][1])
        if occluder and self._choices["occluder"] != CONTRADICTION:
            patchers.append(self._part("occluder", _load_occluder)[1])
        largest = larger_of(self.network) or self.config
        work = _BYTES_PER_PIXEL * largest.out_size**2 if network else 0
        adapter.load(patchers, work + _BYTES_PER_FRAME_PIXEL * frame_pixels)

    def _part(self, kind: str, read: Callable[[str], nn.Module]) -> tuple[Any, Any]:
        if kind not in self._parts:
            with adapter.building():
                part = read(self._choices[kind])
            self._parts[kind] = (part, adapter.patch(part))
        return self._parts[kind]


def load_face_model(
    source: str | Path,
    *,
    name: str,
    precision: str,
    task: Task | None,
    detector: str,
    parser: str,
    occluder: str = files.AUTO,
    fidelity: float | None = None,
) -> FaceModel:
    """The model of this file, zoo name or Hub repository, wrapped for ComfyUI's memory management."""
    with adapter.building():
        # ONNX Runtime has devices of its own: what is installed for it decides, not what torch has.
        device = "auto" if str(source).lower().endswith(".onnx") else str(adapter.compute_device())
        network = load_model(source, device=device, precision=precision, task=task, fidelity=fidelity)
        # An `auto` model chooses when first asked, and exchanges its weights: before the patcher counts them.
        adapter.log.info("%s computes in %s", name, network.precision)
        return FaceModel(network, name=name, detector=detector, parser=parser, occluder=occluder)


def _load_detector(choice: str) -> Any:
    device = str(adapter.compute_device())
    if choice != files.AUTO:
        return load_detector(files.locate(choice, adapter.DETECTION, option="detector"), device=device)
    return load_detector(files.detector_file(choice), device=device)


def _load_parser(choice: str) -> Any:
    path = files.parser_file(choice)
    if path is None:
        name = "parsenet" if choice == files.AUTO else choice
        try:
            path = files.locate(name, adapter.DETECTION, option="parser", chosen=choice)
        except HubError as error:
            raise WeightsError(f"{error}; where there is a mask_kind, ellipse and box need none") from error
    return load_parser(path, device=str(adapter.compute_device()))


def _load_occluder(choice: str) -> Any:
    return load_occluder(None if choice == files.AUTO else choice, device=str(adapter.compute_device()))


def device_of(model: FaceModel) -> torch.device:
    """Where the patcher has put the network."""
    parameter = next(iter(model.network.parameters()), None)
    return torch.device("cpu") if parameter is None else parameter.device
