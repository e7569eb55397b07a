"""Blind face restoration with a GAN prior embedded in a U-shaped network (GPEN, CVPR 2021).

What is named here is for others to use; any other name is this package's own affair and may move.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import GPENConfig as GPENConfig
    from .config import ModelCard as ModelCard
    from .contracts import Detector as Detector
    from .contracts import Embedder as Embedder
    from .contracts import Model as Model
    from .contracts import Parser as Parser
    from .errors import ConfigError as ConfigError
    from .errors import DeviceError as DeviceError
    from .errors import FaceError as FaceError
    from .errors import GPENError as GPENError
    from .errors import HashMismatchError as HashMismatchError
    from .errors import HubError as HubError
    from .errors import InputError as InputError
    from .errors import MissingPackageError as MissingPackageError
    from .errors import PictureError as PictureError
    from .errors import TrainingError as TrainingError
    from .errors import UnsafeFileError as UnsafeFileError
    from .errors import WeightsError as WeightsError
    from .faces.types import Detection as Detection
    from .faces.types import FaceCrops as FaceCrops
    from .film_options import FilmOptions as FilmOptions
    from .film_options import Smoothing as Smoothing
    from .images import Picture as Picture
    from .images import PictureLike as PictureLike
    from .images import read_picture as read_picture
    from .images import write_picture as write_picture
    from .options import Blending as Blending
    from .options import Masking as Masking
    from .options import RestoreOptions as RestoreOptions
    from .options import Selection as Selection
    from .restore import CropMasks as CropMasks
    from .restore import FaceRestorer as FaceRestorer
    from .restore import RestoredFace as RestoredFace
    from .restore import RestoredPicture as RestoredPicture
    from .tasks import edit_faces as edit_faces
    from .tasks import parse_faces as parse_faces
    from .tasks import synthesize_face as synthesize_face
    from .tasks.colorize import colorize as colorize
    from .tasks.inpaint import inpaint as inpaint
    from .video import FilmReport as FilmReport
    from .video import restore_film as restore_film
    from .video import restore_frames as restore_frames
    from .weights import GPEN as GPEN
    from .weights import load_detector as load_detector
    from .weights import load_model as load_model
    from .weights import load_occluder as load_occluder
    from .weights import load_parser as load_parser
    from .weights import load_prior as load_prior

__version__ = "0.1.0"

_ROOMS = {
    ".config": "GPENConfig ModelCard",
    ".contracts": "Detector Embedder Model Parser",
    ".errors": "ConfigError DeviceError FaceError GPENError HashMismatchError HubError InputError MissingPackageError "
    "PictureError TrainingError UnsafeFileError WeightsError",
    ".faces.types": "Detection FaceCrops",
    ".film_options": "FilmOptions Smoothing",
    ".images": "Picture PictureLike read_picture write_picture",
    ".options": "Blending Masking RestoreOptions Selection",
    ".restore": "CropMasks FaceRestorer RestoredFace RestoredPicture",
    ".tasks": "colorize edit_faces inpaint parse_faces synthesize_face",
    ".video": "FilmReport restore_film restore_frames",
    ".weights": "GPEN load_detector load_model load_occluder load_parser load_prior",
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    # Names are brought when first used, so that `gpen --help` does not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
