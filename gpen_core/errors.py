"""The errors a caller may want to catch. Every message is one line: what is wrong, what was expected, what to do.

GPENError                      anything that this package refuses or cannot do
├── ConfigError, ValueError        options, a configuration or a card
├── InputError, ValueError         a tensor, array or argument
├── PictureError, ValueError       a picture or film
├── FaceError, ValueError          boxes, landmarks or masks
│   └── MissedError                    a mask that lies on none of the faces
├── WeightsError                   a file of weights
│   ├── OtherNetworkError              holds another network
│   └── UnsafeFileError                a pickle that is not opened here
├── HubError                       fetching and publishing
│   └── HashMismatchError              a fetched file is not the one expected
├── TrainingError                  a recipe, data set or checkpoint
│   └── ChangedRunError                a run that was begun otherwise
├── DeviceError, RuntimeError      a device or precision
└── MissingPackageError, ImportError   an optional package
"""

from __future__ import annotations

import sys
import typing

E = typing.TypeVar("E", bound=BaseException)


class GPENError(Exception):
    """Anything this package refuses or cannot do."""

    def __str__(self) -> str:
        # Names out of damaged files are quoted: whatever they hold, the message stays one line that can be printed.
        text = super().__str__()
        return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))


class ConfigError(GPENError, ValueError):
    """A configuration, card or option that contradicts itself."""


class InputError(GPENError, ValueError):
    """A tensor, array or argument of the wrong kind, shape or range."""


class WeightsError(GPENError):
    """A file of weights that cannot be read, recognised, or does not fit."""


class OtherNetworkError(WeightsError):
    """A file of another network than GPEN; `network` is its name."""

    def __init__(self, message: str, network: str) -> None:
        super().__init__(message)
        self.network = network


class UnsafeFileError(WeightsError):
    """A pickle that this installation will not open."""


class HubError(GPENError):
    """A file that could not be fetched or published."""


class HashMismatchError(HubError):
    """A fetched file that is not the one expected; it has been removed."""


class PictureError(GPENError, ValueError):
    """A picture or film that cannot be decoded or written."""


class FaceError(GPENError, ValueError):
    """Boxes, landmarks or masks that describe no usable face."""


class MissedError(FaceError):
    """A mask that lies on none of the faces: nothing of them is to be changed."""


class TrainingError(GPENError):
    """A recipe, data set or checkpoint that training cannot go on with."""


class ChangedRunError(TrainingError):
    """A run that was begun otherwise than it is to go on; `changed` says in what."""

    def __init__(self, message: str, changed: str) -> None:
        super().__init__(message)
        self.changed = changed


class DeviceError(GPENError, RuntimeError):
    """A device or precision that is not at hand, or too small."""


class MissingPackageError(GPENError, ImportError):
    """An optional package that is not installed, or does not load; names the extra that brings it."""


def to_keep(error: E) -> E:
    """The error without the calls that it came through, and without what led to it.

    Those hold every picture and tensor that they worked on. An error which outlives its `except`, in a variable or a
    list or a future, would hold them with it; often in a circle, which Python looks for seldom.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def installing(*packages: str) -> str:
    """The command that brings these packages into this very Python: a ComfyUI has no `gpen` to take an extra of."""
    return f"`{sys.executable} -m pip install {' '.join(packages)}`"
