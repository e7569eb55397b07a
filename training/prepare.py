"""Aligns raw photographs into a training folder: python training/prepare.py PHOTOS OUT --size 256

OUT/train and OUT/val hold square faces, OUT/faces.csv says where each came from (columns as `gpen train` reads them,
and more). Nobody is in both: pictures that share an identity, or look nearly alike, stay together. Which side they go
to is decided by a hash, so that more photographs later move nobody.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import math
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gpen_core.data.alike import fingerprint, groups_of, split_of
from gpen_core.data.shards import write_shards
from gpen_core.errors import GPENError
from gpen_core.faces.geometry import fit_similarity, scale_of, template
from gpen_core.faces.types import Detection
from gpen_core.faces.warp import crop_faces
from gpen_core.files import files_below, replacing
from gpen_core.images import READABLE_SUFFIXES, Picture, read_picture, to_srgb
from gpen_core.weights import load_detector

Detector = Callable[[Tensor], list[list[Detection]]]
SPLITS = ("train", "val")
COLUMNS = ("file", "split", "source", "identity", "scale", "licence")
SMALLEST = 8  # px: of what can be trained on
LARGE = 1000  # longest side that a detector is shown; beyond it large faces are found twice


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a face must have to be kept.

    score: of the detector. enlarged: how much the picture may be enlarged to fill the crop. outside: largest share of
    the crop that lies beyond the picture. turned: how far the nose may be off the middle of the eyes, in eye distances.
    roll: degrees. sharpness: mean absolute Laplacian of the crop's luma in levels of 255, whatever its contrast.
    contrast: standard deviation, same unit.
    """

    score: float = 0.9
    enlarged: float = 1.25
    outside: float = 0.3
    turned: float = 0.35
    roll: float = 40.0
    sharpness: float = 2.0
    contrast: float = 15.0

    def flaw(self, detection: Detection, crop: Tensor, affine: Tensor, picture_size: tuple[int, int]) -> str | None:
        """Why the face is left out, or None. crop: (3, S, S) in [0, 1]; affine: (2, 3), picture → crop pixels."""
        left, right, nose = detection.landmarks[:3]
        eyes = right - left
        distance = float(eyes.norm())
        if detection.score < self.score:
            return "uncertain"
        if scale_of(affine) > self.enlarged:
            return "too small"
        if abs(float(torch.atan2(eyes[1], eyes[0]).rad2deg())) > self.roll:
            return "tilted"
        if abs(float((nose - (left + right) / 2) @ eyes)) / distance**2 > self.turned:
            return "turned away"
        if outside_share(affine, crop.shape[-1], picture_size) > self.outside:
            return "cut off"
        luma = (crop * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0) * 255
        if float(luma.std()) < self.contrast:
            return "flat"
        if float(laplacian(luma).abs().mean()) < self.sharpness:
            return "blurred"
        return None


def laplacian(luma: Tensor) -> Tensor:
    """Four neighbours less four times the middle, (S - 2, S - 2) of (S, S)."""
    middle = luma[1:-1, 1:-1]
    return luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * middle


def outside_share(affine: Tensor, size: int, picture_size: tuple[int, int]) -> float:
    """How much of a crop of `size` px lies beyond the picture (height, width)."""
    inverse = torch.linalg.inv(torch.cat([affine.double(), torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)]))
    steps = torch.linspace(0, size - 1, 33, dtype=torch.float64)
    grid = torch.stack([*torch.meshgrid(steps, steps, indexing="xy"), torch.ones(33, 33, dtype=torch.float64)], -1)
    x, y = (grid @ inverse.T)[..., 0], (grid @ inverse.T)[..., 1]
    height, width = picture_size
    return float(((x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)).double().mean())


def identity_of(path: Path, root: Path, rule: str) -> str:
    """Who is in a picture by its name: the folder it is in, its name up to the last _ or -, or the picture itself."""
    relative = path.relative_to(root)
    if rule == "folder" and len(relative.parts) > 1:
        return str(relative.parent)
    stem = relative.with_suffix("").as_posix()
    if rule == "prefix":
        cut = max(stem.rfind("_"), stem.rfind("-"))
        return stem[:cut] if cut > stem.rfind("/") + 1 else stem
    return stem


@dataclass(frozen=True, kw_only=True)
class AlignedFace:
    """A face that was kept: crop (3, S, S) in [0, 1], and how many crop pixels one picture pixel became."""

    source: Path
    identity: str
    number: int
    crop: Tensor
    scale: float


def detect_shrunk(detector: Detector, image: Tensor) -> list[Detection]:
    """Faces of an image (3, H, W) in [0, 1], looked for at no more than LARGE px, in the image's own pixels."""
    height, width = image.shape[1:]
    factor = min(1.0, LARGE / max(height, width))
    small = (
        image if factor == 1 else F.interpolate(image[None], scale_factor=factor, mode="bilinear", antialias=True)[0]
    )
    return [d.scaled(width / small.shape[2], height / small.shape[1]) for d in detector(small[None])[0]]


def align(
    path: Path, root: Path, detector: Detector, quality: Quality, options: argparse.Namespace, refused: Counter[str]
) -> Iterator[AlignedFace]:
    """The good faces of one photograph; `refused` counts the others by flaw."""
    picture: Picture = read_picture(path)
    pixels = (
        torch.from_numpy(np.ascontiguousarray(picture.pixels.transpose(2, 0, 1)).astype(np.float32))
        / picture.full_scale
    )
    image = to_srgb(pixels, picture.icc_profile)
    found = detect_shrunk(detector, image)
    if not found:
        refused["no face"] += 1
    for number, detection in enumerate(found):
        affine = fit_similarity(detection.landmarks[None], template(options.template, options.size), options.fit)
        crop = crop_faces(image, affine, options.size, "reflect")[0].clamp(0, 1)
        flaw = quality.flaw(detection, crop, affine[0], (picture.height, picture.width))
        if flaw is not None:
            refused[flaw] += 1
            continue
        identity = identity_of(path, root, options.identity)
        yield AlignedFace(source=path, identity=identity, number=number, crop=crop, scale=scale_of(affine[0]))


def prepare(options: argparse.Namespace, detector: Detector) -> Counter[str]:
    """Writes the folder; the counts of faces kept (`train`, `val`) and refused, by reason.

    What an earlier run made there of these photographs is replaced, of others it stays. Raises SystemExit where there
    are no photographs, or where the folder's faces are packed.
    """
    quality = Quality(**{f.name: getattr(options, f.name) for f in fields(Quality)})
    paths = [path for path in files_below(options.photos) if path.suffix.lower() in READABLE_SUFFIXES]
    if not paths:
        raise SystemExit(f"{options.photos} holds no photographs ({', '.join(sorted(READABLE_SUFFIXES))})")
    if packed := [folder for split in SPLITS for folder in (options.out / split).glob("*.tar")]:
        raise SystemExit(f"{packed[0]} is a shard of an earlier run; name another folder than {options.out}")
    counts: Counter[str] = Counter()
    waiting, rows, prints = options.out / "waiting", [], []
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.mkdir(parents=True)
    for path in paths:
        try:
            faces = list(align(path, options.photos, detector, quality, options, counts))
        except GPENError as error:
            counts["unreadable"] += 1
            sys.stderr.write(f"{error}\n")
            continue
        for face in faces:
            name = f"{mark_of(path, options.photos)}_{face.number}.png"
            rgb = (face.crop * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            Image.fromarray(rgb).save(waiting / name)
            prints.append(fingerprint(face.crop))
            rows.append(
                {
                    "file": name,
                    "source": options.source,
                    "identity": face.identity,
                    "scale": f"{face.scale:.3f}",
                    "licence": options.licence,
                }
            )
    for row, group in zip(rows, groups_of([r["identity"] for r in rows], prints, options.alike), strict=True):
        row["split"] = split_of(group, options.validation)
        counts[row["split"]] += 1
    place(rows, waiting, options.out, {mark_of(path, options.photos) for path in paths})
    if options.shards:
        for split in {row["split"] for row in rows}:
            pack(options.out / split, int(options.shards * 1e6))
    return counts


def mark_of(path: Path, root: Path) -> str:
    """What the names of a photograph's faces begin with: its own, and what tells it from others of that name."""
    return f"{path.stem}_{hashlib.sha256(str(path.relative_to(root)).encode()).hexdigest()[:8]}"


def place(rows: list[dict[str, str]], waiting: Path, out: Path, marks: set[str]) -> None:
    """Moves each face from `waiting` to its side, and writes OUT/faces.csv.

    Faces that an earlier run made of the photographs with these `marks` go, on whichever side they are.
    """
    table = out / "faces.csv"
    earlier = []
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            earlier = list(csv.DictReader(file))
    made = {row["file"]: row["split"] for row in rows}
    again = [row["file"] for row in earlier if row["file"].rpartition("_")[0] in marks]
    for name in {*again, *made}:
        for split in SPLITS:
            if made.get(name) != split:
                (out / split / name).unlink(missing_ok=True)
    for name, split in made.items():
        (out / split).mkdir(exist_ok=True)
        (waiting / name).replace(out / split / name)
    waiting.rmdir()
    gone = set(again) | made.keys()
    with replacing(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows([row for row in earlier if row["file"] not in gone] + rows)


def pack(folder: Path, shard_bytes: int) -> None:
    """Puts the pictures of `folder` into shards in their place."""
    packed = folder.with_name(f"{folder.name}.packing")
    write_shards(folder, packed, shard_bytes=shard_bytes)
    shutil.rmtree(folder)
    packed.rename(folder)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--template", choices=["ffhq", "gpen"], default="ffhq")
    parser.add_argument("--fit", choices=["least_squares", "least_median"], default="least_squares")
    parser.add_argument(
        "--identity", choices=["picture", "folder", "prefix"], default="picture", help="what tells who is in a picture"
    )
    parser.add_argument(
        "--alike", type=int, default=4, help="bits of 64 by which two fingerprints of one picture may differ"
    )
    parser.add_argument(
        "--validation", type=float, default=0.05, help="share of the identities that is kept for validation"
    )
    parser.add_argument("--source", default="own", help="name of this collection, for weights per source")
    parser.add_argument("--licence", default="unknown", help="of the photographs; goes into faces.csv")
    parser.add_argument(
        "--shards",
        type=float,
        default=0,
        metavar="MB",
        help="pack the faces into .tar shards of about this size",
    )
    parser.add_argument("--detector", default=None, help="a detector's name or file; the open one that ships")
    for field in fields(Quality):
        default: Any = field.default
        parser.add_argument(f"--{field.name}", type=float, default=default, help=f"see Quality; {default:g}")
    options = parser.parse_args(arguments)
    if not 0 <= options.validation < 1:
        parser.error(f"--validation is {options.validation}; it must be at least 0 and below 1")
    if options.size < SMALLEST:
        parser.error(f"--size is {options.size}; faces are at least {SMALLEST} px wide")
    if not 0 <= options.shards < math.inf:
        parser.error(f"--shards is {options.shards}; expected megabytes, or 0 for none")
    return options


def main() -> None:
    """Prepares a folder and says what was kept and what was not."""
    options = read_options()
    try:
        counts = prepare(options, load_detector(options.detector))
    except (GPENError, OSError) as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write("".join(f"{count:6d} {what}\n" for what, count in counts.most_common()))
    for split in SPLITS:
        if not counts[split]:
            sys.stdout.write(f"nobody is in {split}: more people, or another --validation, would put somebody there\n")


if __name__ == "__main__":
    main()
