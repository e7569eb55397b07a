"""What is known of a file: where it can be had, how it is recognised, under which licence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..config import GPENConfig, ModelCard, Task
from ..errors import ConfigError

Kind = Literal["restorer", "discriminator", "detector", "parser", "occluder", "recognition", "upscaler"]

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
SUFFIXES = (".safetensors", *PICKLES)
ONNX = ".onnx"
BUNDLED = Path(__file__).parent / "bundled"

UNSETTLED = "non-commercial, unsettled"
GPEN_ORIGIN = "https://github.com/yangxy/GPEN"
AUTHORS = "https://public-vigen-video.oss-cn-shanghai.aliyuncs.com/robin/models/"
HIGH_RESOLUTION = "https://www.modelscope.cn/models/iic/cv_gpen_image-portrait-enhancement-hires/resolve/master/"
FACEXLIB = "https://github.com/xinntao/facexlib/releases/download/"
RETALKING = "https://github.com/OpenTalker/video-retalking/releases/download/v0.0.1/"


@dataclass(frozen=True, kw_only=True)
class HubPlace:
    """A file in a repository on the Hugging Face Hub."""

    repo: str
    path: str
    revision: str = "main"
    second_hand: bool = False

    def __str__(self) -> str:
        return f"{self.repo}/{self.path}"


@dataclass(frozen=True, kw_only=True)
class WebPlace:
    """A file at a plain address."""

    url: str
    second_hand: bool = False

    def __str__(self) -> str:
        return self.url


Place = HubPlace | WebPlace


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One known file.

    places: tried in order; `second_hand` marks one that somebody else reported. size: bytes. sha256: None where
    nobody vouches for one; such a file is read only in the safe way. bundled: a file name in `weights/bundled/`.
    larger: the restorer that takes over, under this one's name, where faces are larger than this file's network takes.
    config, card, parameters: of restorers. backbone: of detectors.
    """

    name: str
    kind: Kind
    summary: str
    file: str
    licence: str
    origin: str
    places: tuple[Place, ...] = ()
    size: int | None = None
    sha256: str | None = None
    bundled: str | None = None
    larger: str | None = None
    config: GPENConfig | None = None
    card: ModelCard | None = None
    parameters: int | None = None
    backbone: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.places and self.bundled is None:
            raise ConfigError(f"{self.name} has no place to be had from; give places or a bundled file")
        if self.sha256 is not None and (len(self.sha256) != 64 or self.sha256 != self.sha256.lower()):
            raise ConfigError(f"the sha256 of {self.name} must be 64 lowercase hexadecimal digits")

    @property
    def bundled_path(self) -> Path | None:
        """Where the file that ships lies, whether or not this copy of the package has it."""
        return None if self.bundled is None else BUNDLED / self.bundled


def official(
    name: str,
    task: Task,
    config: GPENConfig,
    parameters: int,
    summary: str,
    *places: Place,
    size: int | None = None,
    sha256: str | None = None,
) -> ZooEntry:
    """A restorer of the authors: from `places`, else from their own address."""
    card = ModelCard(
        name=name,
        task=task,
        value_range=(0.0, 1.0) if task == "segmentation" else (-1.0, 1.0),
        licence=UNSETTLED,
        origin=GPEN_ORIGIN,
    )
    return ZooEntry(
        name=name,
        kind="restorer",
        summary=summary,
        file=f"{name}.pth",
        licence=UNSETTLED,
        origin=GPEN_ORIGIN,
        places=places or (WebPlace(url=f"{AUTHORS}{name}.pth"),),
        size=size,
        sha256=sha256,
        config=config,
        card=card,
        parameters=parameters,
    )


def facexlib(
    name: str,
    kind: Kind,
    summary: str,
    file: str,
    release: str,
    *mirrors: Place,
    size: int,
    sha256: str,
    aliases: tuple[str, ...] = (),
    backbone: str | None = None,
    licence: str = "Apache-2.0",
) -> ZooEntry:
    """A file of facexlib's releases, or of the mirrors."""
    return ZooEntry(
        name=name,
        kind=kind,
        summary=summary,
        file=file,
        licence=licence,
        origin="https://github.com/xinntao/facexlib",
        places=(WebPlace(url=f"{FACEXLIB}{release}/{file}"), *mirrors),
        size=size,
        sha256=sha256,
        aliases=aliases,
        backbone=backbone,
    )
