"""What a run writes of one picture: the result, and what was asked for beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..files import is_same_file, shortened
from ..images import DEFAULT_MAX_PIXELS, Picture, as_picture, copy_picture, write_picture
from ..images.metadata import Provenance
from ..images.picture import to_depth
from ..report import FaceFigures, FaceReport, PictureReport
from .inputs import Item
from .journal import Journal
from .preview import draw_faces, side_by_side


class Processed(Protocol):
    """What becomes of one picture: the result, and the faces that were changed (`RestoredPicture` is one)."""

    @property
    def picture(self) -> Picture:
        """To be written."""

    @property
    def faces(self) -> Sequence[Any]:
        """With `.box`, `.landmarks`, `.score`, and for `save_faces` `.crop` and `.restored`."""


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How a run reads, writes and reports.

    report: the path of report.json; `compare/` (before beside after) and `faces/` (crops before and after) go beside
    it.
    settings: what the results depend on, for the report, and for `resume` to compare. preview: faces are drawn in
    instead of restored.
    group: pictures given to the network at once. figures: measured on every
    restored face.
    """

    report: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    overwrite: bool = False
    preview: bool = False
    compare: bool = False
    save_faces: bool = False
    quality: int | None = None
    provenance: Provenance | None = None
    max_pixels: int | None = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False
    group: int = 1
    figures: tuple[FaceFigures, ...] = ()


def write_result(
    item: Item,
    picture: Picture,
    result: Processed,
    options: BatchOptions,
    report: PictureReport,
    journal: Journal | None = None,
) -> PictureReport:
    """The report of one picture, whose result, and all that goes beside it, has been written.

    report: what is known already. journal: told of a result that takes its input's place. Raises GPENError, or OSError
    of the disk.
    """
    faces = (FaceReport.of(face, k, result.picture, options.figures) for k, face in enumerate(result.faces))
    report = replace(report, faces=tuple(faces), output=str(item.target))
    if options.preview:
        marked = draw_faces(picture, result.faces)
        said = write_picture(marked, item.target, quality=options.quality, overwrite=options.overwrite)
        return replace(report, notes=picture.notes + said, status="converted", reason="faces are drawn, not restored")
    put_back = any(getattr(face, "strength", 1.0) > 0 for face in result.faces)
    changed = put_back or getattr(result, "changed", False)
    if not changed:
        report = replace(report, reason="no face was to be changed" if result.faces else "no face found")
        same_size = (picture.width, picture.height) == (result.picture.width, result.picture.height)
        same_kind = item.source.suffix.lower() == item.target.suffix.lower() and item.page is None
        if same_size and same_kind and options.quality is None:
            copy_picture(item.source, item.target, overwrite=options.overwrite)
            return replace(report, status="copied", notes=())
        report = replace(report, status="converted")
    _write_extras(item, picture, result, options)
    report = replace(report, notes=(*result.picture.notes, *_of_faces_left(report.faces)))
    said = write_picture(
        result.picture,
        item.target,
        quality=options.quality,
        provenance=options.provenance if changed else None,
        overwrite=options.overwrite,
        # a result in its input's place would be taken for an input by a resumed run
        sealed=(
            None
            if journal is None or not is_same_file(item.target, item.source)
            else lambda temporary: journal.foresee(report, temporary)
        ),
    )
    return replace(report, notes=(*report.notes, *said))


def _of_faces_left(faces: Sequence[FaceReport]) -> tuple[str, ...]:
    left = ", ".join(str(face.index) for face in faces if face.left)
    many = "s" if "," in left else ""
    said = f"left face{many} {left} as found: larger than the model's own size, and sound at that size"
    return (said,) if left else ()


def _write_extras(item: Item, picture: Picture, result: Processed, options: BatchOptions) -> None:
    if options.compare and result.picture is not picture:
        write_picture(side_by_side(picture, result.picture), beside(item, options, "compare", ".jpg"), quality=92)
    if options.save_faces:
        for index, face in enumerate(result.faces):
            for name, crop in (("before", face.crop), ("after", face.restored)):
                if crop is not None:
                    eight = to_depth(as_picture(crop.clamp(0, 1)).pixels, np.uint8)
                    write_picture(Picture(pixels=eight), beside(item, options, "faces", f"_{index:02}_{name}.png"))


def beside(item: Item, options: BatchOptions, kind: str, ending: str = "") -> Path:
    """The name of something that goes beside the result, in a folder of its kind."""
    label = item.label or Path(item.target.stem)
    return options.report.parent / kind / label.with_name(shortened(label.name, less=len(ending)) + ending)
