"""Several models on the same faces: each one's results, judged alike, on one table and one sheet."""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..contracts import input_size_for
from ..errors import InputError
from ..files import replacing
from ..images import Picture, write_picture
from ..images.planes import levels_of, resize
from ..restore import FaceRestorer
from ..weights.load import load_model
from .catalogue import better
from .kept import Kept
from .pairs import load, pictures_in
from .tables import Sides, summary

#: Aligned faces (B, 3, S, S) in [0, 1] → restored ones (B, 3, T, T) in [0, 1].
Restorer = Callable[[Tensor], Tensor]
_AT_ONCE = 8


def load_restorer(source: str, *, device: str = "auto", trust_pickle: bool = False) -> Restorer:
    """A restorer of aligned faces: whatever `load_model` reads, given its faces in its own size and range.

    Raises MissingPackageError where a reader is missing, WeightsError for a file that is no face restorer.
    """
    with warnings.catch_warnings():
        # Aligned faces are posed already.
        warnings.filterwarnings("ignore", message=".*does not say how faces are posed")
        model = load_model(source, device=device, trust_pickle=trust_pickle)
    restorer = FaceRestorer(model)
    return lambda faces: restorer.run(resize(faces, input_size_for(model, faces.shape[-1])))


def when_needed(load: Callable[[], Restorer]) -> Restorer:
    """What `load` gives, loaded by the first faces that come: results that stand need no network."""
    loaded = functools.cache(load)
    return lambda faces: loaded()(faces)


def names_of(sources: Sequence[str]) -> dict[str, str]:
    """Source by the name under which its results stand. Raises InputError where two would have one name."""
    names: dict[str, str] = {}
    for source in sources:
        name = Path(source).stem if Path(source).suffix else source.replace("/", "-")
        if name in names:
            raise InputError(f"{names[name]} and {source} would both be called {name}; rename one")
        names[name] = source
    return names


def restore_folder(
    restorer: Restorer,
    inputs: Path,
    results: Path,
    *,
    made_by: str = "",
    done: Callable[[int, int], None] | None = None,
) -> None:
    """Writes every aligned face of `inputs`, restored, as PNG into `results`; a few are held at a time.

    made_by: the restorer's hash; results that it made before of the same pictures stay. Raises PictureError for a
    picture that cannot be read, InputError for one that is not square.
    """
    paths = list(pictures_in(inputs).items())
    results.mkdir(parents=True, exist_ok=True)
    with Kept(results / "made.jsonl" if made_by else None, 3) as kept:
        made = {tuple(row) for row in kept.rows}
        for first in range(0, len(paths), _AT_ONCE):
            part = [(stem, path, load(path)) for stem, path in paths[first : first + _AT_ONCE]]
            left = [one for one in part if (made_by, one[2].sha256, _hash(results / f"{one[0]}.png")) not in made]
            for _, path, face in left:
                if face.pixels.shape[-1] != face.pixels.shape[-2]:
                    width, height = face.pixels.shape[-1], face.pixels.shape[-2]
                    raise InputError(f"{path} has {width}×{height} px; aligned faces are square")
            faces = [face.pixels for _, _, face in left]
            alike = len({face.shape for face in faces}) == 1
            outputs = restorer(torch.cat(faces)) if alike else [restorer(face)[0] for face in faces]
            for (stem, _, face), output in zip(left, outputs, strict=True):
                target = results / f"{stem}.png"
                write_picture(Picture(pixels=levels_of(output)), target, overwrite=True)
                kept.add([made_by, face.sha256, _hash(target)])
            if done is not None:
                done(min(first + _AT_ONCE, len(paths)), len(paths))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def contact_sheet(path: Path, folders: Mapping[str, Path], stems: Sequence[str], side: int = 192) -> None:
    """Writes one picture: a row a face, a column a folder, its name above."""
    names = list(folders)
    sheet = Image.new("RGB", (len(names) * side, 20 + len(stems) * side), "white")
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        draw.text((column * side + 4, 4), name, fill="black")
        held = pictures_in(folders[name])
        for row, stem in enumerate(stems):
            if stem in held:
                face = levels_of(resize(load(held[stem]).pixels, side)[0])
                sheet.paste(Image.fromarray(face), (column * side, 20 + row * side))
    with replacing(path) as temporary:
        sheet.save(temporary, "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG", quality=92)


def markdown(sides: Sides) -> str:
    """The sums as a Markdown table: a row a side, a column a figure, the best of several models in bold."""
    held = summary(sides)["sides"]
    names = list(dict.fromkeys(name for side in held.values() for name in side["figures"]))
    lines = ["| | " + " | ".join(f"{n} {'↑' if better(n) == 'higher' else '↓'}" for n in names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    means = {
        name: {side: one["figures"][name]["mean"] for side, one in held.items() if name in one["figures"]}
        for name in names
    }
    for side in held:
        cells = []
        for name in names:
            value = means[name].get(side)
            others = [v for s, v in means[name].items() if s != "input" and v is not None]
            best = len(others) > 1 and value == (max(others) if better(name) == "higher" else min(others))
            shown = "–" if value is None else f"{value:.3f}"
            cells.append(f"**{shown}**" if best and side != "input" else shown)
        lines.append(f"| {side} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
