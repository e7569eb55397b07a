"""The tasks beside restoration: colours, missing parts, faces from maps of their regions."""

from ..faces.palette import PALETTE, paint, read_labels
from .colorize import colorize, colorize_face, keep_luma
from .inpaint import inpaint, inpaint_face, white_strokes
from .network import check_task
from .synthesize import as_labels, edit_faces, map_picture, parse_face, parse_faces, synthesize_face

__all__ = [
    "PALETTE",
    "as_labels",
    "check_task",
    "colorize",
    "colorize_face",
    "edit_faces",
    "inpaint",
    "inpaint_face",
    "keep_luma",
    "map_picture",
    "paint",
    "parse_face",
    "parse_faces",
    "read_labels",
    "synthesize_face",
    "white_strokes",
]
