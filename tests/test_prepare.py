"""training/prepare.py: raw photographs become a training folder in which nobody is on both sides."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from training_scripts import script

from gpen_core.faces.types import Detection

LANDMARKS = [[90.0, 110.0], [150.0, 110.0], [120.0, 145.0], [95.0, 172.0], [145.0, 172.0]]


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    return script("prepare.py")


def _face(landmarks: list[list[float]] = LANDMARKS, score: float = 0.99) -> Detection:
    return Detection(box=torch.tensor([70.0, 70.0, 170.0, 200.0]), landmarks=torch.tensor(landmarks), score=score)


def _everywhere(images: Tensor) -> list[list[Detection]]:
    return [[_face()] for _ in images]


def _photograph(path: Path, seed: int, size: int = 256) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((size, size), Image.Resampling.NEAREST).save(path)


def test_photographs_become_faces_of_one_size_with_a_table(prepare: ModuleType, tmp_path: Path) -> None:
    for seed in range(6):
        _photograph(tmp_path / "in" / f"person{seed}" / "one.png", seed)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    options = prepare.read_options(
        [str(tmp_path / "in"), str(tmp_path / "out"), "--size", "128", "--identity", "folder", "--validation", "0.4"]
    )
    counts = prepare.prepare(options, _everywhere)
    assert counts["unreadable"] == 1
    assert counts["train"] + counts["val"] == 6
    with (tmp_path / "out" / "faces.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(r["identity"] for r in rows) == [f"person{seed}" for seed in range(6)]
    for row in rows:
        with Image.open(tmp_path / "out" / row["split"] / row["file"]) as picture:
            assert picture.size == (128, 128)
    assert not (tmp_path / "out" / "waiting").exists()


def _prepared(prepare: ModuleType, photos: Path, out: Path, *more: str) -> dict[str, str]:
    """Every face below `out` and its side, as the table has it, too."""
    prepare.prepare(prepare.read_options([str(photos), str(out), "--size", "64", *more]), _everywhere)
    there = {path.name: path.parent.name for path in out.rglob("*.png")}
    assert sum(1 for _ in out.rglob("*.png")) == len(there), "somebody is on both sides"
    with (out / "faces.csv").open() as file:
        assert {row["file"]: row["split"] for row in csv.DictReader(file)} == there
    return there


def test_a_later_run_leaves_nobody_on_both_sides_and_others_alone(prepare: ModuleType, tmp_path: Path) -> None:
    for seed in range(8):
        _photograph(tmp_path / "in" / f"{seed}.png", seed)
        _photograph(tmp_path / "others" / f"other{seed}.png", 100 + seed)
    out = tmp_path / "out"
    (out / "waiting").mkdir(parents=True)
    (out / "waiting" / "of a run that was interrupted.png").touch()
    first = _prepared(prepare, tmp_path / "in", out, "--validation", "0.5")
    assert set(first.values()) == {"train", "val"}
    second = _prepared(prepare, tmp_path / "in", out, "--validation", "0")
    assert second == dict.fromkeys(first, "train")
    both = _prepared(prepare, tmp_path / "others", out, "--validation", "0.5")
    assert both.items() > second.items()
    assert len(both) == 16
    picky = _prepared(prepare, tmp_path / "in", out, "--sharpness", "255")
    assert sorted(picky.items()) == sorted(both.items() - second.items())


def test_faces_are_not_laid_beside_those_that_are_packed(prepare: ModuleType, tmp_path: Path) -> None:
    _photograph(tmp_path / "in" / "one.png", 1)
    options = prepare.read_options([str(tmp_path / "in"), str(tmp_path / "out"), "--size", "64", "--shards", "1"])
    prepare.prepare(options, _everywhere)
    (shard,) = tmp_path.rglob("*.tar")
    before = shard.read_bytes()
    with pytest.raises(SystemExit, match=r"is a shard of an earlier run; name another folder"):
        prepare.prepare(options, _everywhere)
    assert shard.read_bytes() == before


def test_nobody_is_in_both_splits_and_later_photographs_move_nobody(prepare: ModuleType) -> None:
    identities = [f"person{i % 40}" for i in range(120)]
    prints = list(np.random.default_rng(0).integers(0, 2**63, 120))
    groups = prepare.groups_of(identities, prints, 0)
    sides = {
        name: {prepare.split_of(g, 0.3) for n, g in zip(identities, groups, strict=True) if n == name}
        for name in identities
    }
    assert all(len(side) == 1 for side in sides.values())
    assert len({next(iter(s)) for s in sides.values()}) == 2
    more = prepare.groups_of([*identities, "new"], [*prints, 5], 0)
    assert more[:-1] == groups


def test_pictures_that_look_alike_stay_together(prepare: ModuleType) -> None:
    assert prepare.groups_of(["b", "a", "c"], [0b0, 0b11, 2**40 - 1], 2) == ["a", "a", "c"]


def test_a_fingerprint_survives_noise_and_tells_pictures_apart(prepare: ModuleType) -> None:
    source = torch.Generator().manual_seed(1)
    first, second = torch.rand(2, 3, 9, 9, generator=source).repeat_interleave(8, 2).repeat_interleave(8, 3)
    noisy = (first + 0.02 * torch.randn(first.shape, generator=source)).clamp(0, 1)
    near = bin(prepare.fingerprint(first) ^ prepare.fingerprint(noisy)).count("1")
    far = bin(prepare.fingerprint(first) ^ prepare.fingerprint(second)).count("1")
    assert near <= 4 < far


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (lambda points: points, None),
        (lambda points: points * 0.2, "too small"),
        (lambda points: points + torch.tensor([[0, 0], [0, 0], [35, 0], [0, 0], [0, 0]]), "turned away"),
        (lambda points: (points - 120) @ torch.tensor([[0.5, 0.87], [-0.87, 0.5]]) + 120, "tilted"),
        (lambda points: points + torch.tensor([130.0, 0.0]), "cut off"),
    ],
)
def test_a_face_is_left_out_for_what_is_wrong_with_it(prepare: ModuleType, change, flaw: str | None) -> None:  # type: ignore[no-untyped-def]
    face = _face(change(torch.tensor(LANDMARKS)).tolist())
    affine = prepare.fit_similarity(face.landmarks[None], prepare.template("ffhq", 256))[0]
    crop = torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert prepare.Quality(enlarged=2.0).flaw(face, crop, affine, (256, 256)) == flaw


def test_a_flat_or_blurred_face_or_an_uncertain_one_is_left_out(prepare: ModuleType) -> None:
    affine = prepare.fit_similarity(_face().landmarks[None], prepare.template("ffhq", 256))[0]
    ramp = torch.linspace(0, 1, 256).expand(3, 256, 256)
    quality = prepare.Quality(enlarged=2.0)
    assert quality.flaw(_face(), torch.full((3, 256, 256), 0.5), affine, (256, 256)) == "flat"
    assert quality.flaw(_face(), ramp, affine, (256, 256)) == "blurred"
    assert quality.flaw(_face(score=0.5), ramp, affine, (256, 256)) == "uncertain"


def test_who_is_in_a_picture_is_told_by_its_name(prepare: ModuleType) -> None:
    path, root = Path("/in/ann/trip_03.jpg"), Path("/in")
    assert prepare.identity_of(path, root, "folder") == "ann"
    assert prepare.identity_of(path, root, "prefix") == "ann/trip"
    assert prepare.identity_of(path, root, "picture") == "ann/trip_03"


def test_a_large_photograph_is_searched_small_and_found_large(prepare: ModuleType) -> None:
    seen = []

    def detector(images: Tensor) -> list[list[Detection]]:
        seen.append(tuple(images.shape[2:]))
        return _everywhere(images)

    found = prepare.detect_shrunk(detector, torch.zeros(3, 1500, 3000))[0]
    assert seen == [(500, 1000)]
    assert torch.allclose(found.landmarks, (torch.tensor(LANDMARKS) + 0.5) * 3 - 0.5, atol=1e-3)


def test_an_empty_folder_is_refused_by_name(prepare: ModuleType, tmp_path: Path) -> None:
    options = prepare.read_options([str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="holds no photographs"):
        prepare.prepare(options, _everywhere)
