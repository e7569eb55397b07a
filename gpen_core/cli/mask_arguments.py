"""Arguments about what of a picture may change: a painted mask, or a folder of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .flags import help_of

if TYPE_CHECKING:
    from ..batch.masks import Masks


def add_masks(group: argparse._ArgumentGroup) -> None:
    """Adds --mask, which takes the options' kind of mask or a painted one, --mask-folder and --invert."""
    from ..fields import described
    from ..options import Masking

    kind = described(Masking)["kind"]
    group.add_argument(
        "--mask",
        type=lambda text: text if text in kind.choices else Path(text),
        metavar=f"{{{','.join(kind.choices)}}}|FILE",
        help=f"{help_of(kind)}; or a picture of the input's size: only what is white there may change",
    )
    group.add_argument("--mask-folder", metavar="DIR", help="such pictures, each called like the input it is for")
    group.add_argument("--invert", action="store_true", help="what is white in these pictures is spared instead")


def read_masks(arguments: argparse.Namespace) -> Masks | None:
    """What of each picture may change, None where all may.

    Raises InputError for what contradicts itself or is not there.
    """
    from ..batch.masks import painted_masks
    from ..errors import InputError
    from ..fields import described, nearest
    from ..options import Masking

    file = arguments.mask if isinstance(arguments.mask, Path) else None
    if file is not None and not file.is_file():
        kinds = described(Masking)["kind"].choices
        near = nearest(str(file), kinds)
        hint = f"did you mean {near}?" if near else f"the kinds are {', '.join(kinds)}"
        raise InputError(f"--mask {file} is neither a kind of mask nor a file; {hint}")
    folder = None if arguments.mask_folder is None else Path(arguments.mask_folder)
    if file is not None and folder is not None:
        raise InputError("--mask FILE and --mask-folder both say what may change; leave one out")
    if file is None and folder is None:
        if arguments.invert:
            raise InputError("--invert needs --mask FILE or --mask-folder DIR: what is it to turn round?")
        return None
    return painted_masks(file, folder, invert=arguments.invert)


def masks_said(arguments: argparse.Namespace) -> list[Any]:
    """What the command line says of masks, as JSON values."""
    mask = arguments.mask
    return [str(mask) if isinstance(mask, Path) else mask, arguments.mask_folder, arguments.invert]
