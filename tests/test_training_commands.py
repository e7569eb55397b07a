"""The scripts of `training/` from their command line to what they leave, on tiny pictures and networks."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from small_models import small_model
from training_runs import make_faces
from training_scripts import TRAINING, call, script

from gpen_core import GPEN, GPENConfig, ModelCard, load_detector, load_model
from gpen_core.faces.retinaface import MobileRetinaFace
from gpen_core.faces.second_look import SecondLook
from gpen_core.trainer import read_recipe
from gpen_core.weights import checkpoint, load_occluder
from gpen_core.weights.entry import BUNDLED
from gpen_core.weights.tensors import read_tensors, save_tensors

pytest.importorskip("cv2", reason="no cv2 here: pip install opencv-python")
EXAMPLES = TRAINING.parent / "gpen_core" / "examples"
DETECTOR = BUNDLED / "gpen-open-detector.safetensors"
A_MOMENT = ("--minutes", "0.0001")


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two faces of 256 px, as they are where two of the examples have them."""
    folder = tmp_path_factory.mktemp("aligned")
    for path in EXAMPLES.glob("*.jpg"):
        with Image.open(path) as picture:
            picture.convert("RGB").crop((70, 20, 270, 220)).resize((256, 256)).save(folder / path.name)
    return folder


@pytest.fixture(scope="module")
def labels(aligned: Path) -> Path:
    """Where the faces of `aligned` are, about."""
    names = sorted(path.name for path in aligned.iterdir())
    points = np.array([(96, 120), (160, 120), (128, 157), (100, 186), (156, 186)], np.float32)
    boxes = np.array([(80, 70, 176, 205)] * 2, np.float32)
    path = aligned.with_suffix(".npz")
    np.savez(path, names=np.array(names), boxes=boxes, landmarks=np.stack([points] * 2))
    return path


def test_the_examples_that_ship_are_made_again(tmp_path, monkeypatch):
    pytest.importorskip("skimage", reason="no skimage here: pip install scikit-image")
    places = ("--out", tmp_path, "--for-nodes", tmp_path, "--originals", tmp_path)
    call(script("make_examples.py"), monkeypatch, *places)
    for shipped in EXAMPLES.glob("*.jpg"):
        with Image.open(shipped) as known, Image.open(tmp_path / shipped.name) as made:
            assert np.abs(np.asarray(known, float) - np.asarray(made, float)).mean() < 1
    assert {"two-prints.jpg", "painted-over.jpg", "astronaut.jpg"} <= {path.name for path in tmp_path.iterdir()}


def test_photographs_become_a_folder_of_faces(tmp_path, monkeypatch):
    call(script("prepare.py"), monkeypatch, EXAMPLES, tmp_path, "--size", 64, "--sharpness", 0, "--enlarged", 2)
    rows = list(csv.DictReader((tmp_path / "faces.csv").read_text().splitlines()))
    assert len(rows) == 2
    assert all((tmp_path / row["split"] / row["file"]).exists() for row in rows)


def test_labels_are_those_of_the_teacher(aligned, tmp_path, monkeypatch):
    pytest.importorskip("facexlib")
    module = script("detector/labels.py")
    monkeypatch.setattr(module, "label_face", partial(module.label_face, sizes=(64,)))
    torch.save(module.load_network().state_dict(), tmp_path / "teacher.pth")
    call(module, monkeypatch, aligned, tmp_path / "teacher.pth", tmp_path / "out.npz", "--least-score", 0)
    found = np.load(tmp_path / "out.npz")
    assert (found["boxes"].shape, found["landmarks"].shape) == ((2, 4), (2, 5, 2))


def test_candidates_are_gathered_from_pictures_and_scenes(aligned, labels, tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 4), np.uint8)
    Image.fromarray(noise).save(tmp_path / "pictures" / "stamp.png")
    Image.fromarray(noise[..., :3]).save(tmp_path / "pictures" / "photograph.png")
    torch.save(MobileRetinaFace().state_dict(), tmp_path / "teacher.pth")
    words = [tmp_path / "pictures", aligned, labels, tmp_path / "out.npz", "--teachers", tmp_path / "teacher.pth"]
    candidates = script("detector/candidates.py")
    monkeypatch.setattr(candidates, "MOST", 2)
    call(candidates, monkeypatch, *words, *A_MOMENT)
    found = np.load(tmp_path / "out.npz")
    assert len(found["crops"]) == len(found["label"]) == len(found["score"])
    assert set(found["label"].tolist()) <= {0, 1}


def test_a_detector_is_judged_on_photographs_and_scenes(aligned, labels, monkeypatch, capsys):
    pytest.importorskip("skimage", reason="no skimage here: pip install scikit-image")
    words = [DETECTOR, EXAMPLES, aligned, labels, "--teacher", DETECTOR, "--scenes", 1]
    call(script("detector/evaluate.py"), monkeypatch, *words)
    said = capsys.readouterr().out
    assert "sent-around.jpg: 1 of 1, 0 other" in said
    assert said.count("landmark error") == 2


def test_a_sheet_shows_the_faces_of_a_folder(tmp_path, monkeypatch, capsys):
    call(script("detector/sheet.py"), monkeypatch, "gpen-open-detector", EXAMPLES, tmp_path / "sheet.png")
    assert "2 pictures, 2 faces" in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.getextrema()[0][1] > 0


def test_a_trained_detector_goes_on_and_ships_with_its_second_look(aligned, labels, tmp_path, monkeypatch):
    pytest.importorskip("facexlib")
    pytest.importorskip("skimage", reason="no skimage here: pip install scikit-image")
    train = script("detector/train.py")
    monkeypatch.setattr(train, "SHAPES", ((96, 2),))
    call(train, monkeypatch, aligned, labels, tmp_path / "run", "--minutes", 0.002)
    first = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    call(train, monkeypatch, aligned, labels, tmp_path / "run", "--minutes", first["spent"] / 60 + 0.002)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert state["step"] > first["step"] > 0
    torch.save(SecondLook().state_dict(), tmp_path / "look.pt")
    words = [tmp_path / "run" / "state.pt", tmp_path / "out.safetensors", "--second-look", tmp_path / "look.pt"]
    call(script("detector/export.py"), monkeypatch, *words)
    assert load_detector(tmp_path / "out.safetensors").second_look is not None
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["gpen.detector"])["training"]["steps"] == state["step"]
    again = [tmp_path / "out.safetensors", tmp_path / "again.safetensors", *words[2:]]
    call(script("detector/export.py"), monkeypatch, *again)
    before, after = (read_tensors(path) for path in again[:2])
    assert after.metadata == before.metadata
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())


def test_a_second_look_is_trained(aligned, labels, tmp_path, monkeypatch):
    crops = np.random.default_rng(0).integers(0, 256, (6, 3, 96, 96), np.uint8)
    np.savez(tmp_path / "c.npz", crops=crops, label=np.array([1, 0] * 3), score=np.linspace(0.1, 1, 6))
    torch.save(SecondLook().state_dict(), tmp_path / "before.pt")
    words = [tmp_path / "c.npz", aligned, labels, tmp_path / "out.pt", "--start", tmp_path / "before.pt", "--batch", 4]
    call(script("detector/second_look.py"), monkeypatch, *words, *A_MOMENT)
    SecondLook().load_state_dict(torch.load(tmp_path / "out.pt", weights_only=True))


def test_an_occluder_is_trained_and_goes_on(aligned, tmp_path, monkeypatch):
    train = script("occluder/train.py")
    call(train, monkeypatch, aligned, tmp_path / "out.safetensors", "--batch", 2, *A_MOMENT)
    words = [tmp_path / "again.safetensors", "--start", tmp_path / "out.safetensors", "--batch", 2]
    call(train, monkeypatch, aligned, *words, *A_MOMENT)
    assert load_occluder(tmp_path / "again.safetensors", device="cpu")(torch.rand(1, 3, 64, 64)).shape == (1, 64, 64)


def test_a_model_is_enlarged_and_a_mean_of_two_is_written(tmp_path, monkeypatch):
    text = (TRAINING / "open_model" / "finetune-256.toml").read_text()
    recipe = tmp_path / "small.toml"
    recipe.write_text(text.replace("size = 256", "size = 32").replace("0.25", "0.02"))
    config = read_recipe(recipe).network.config
    half = GPENConfig.from_dict(
        {
            **config.to_dict(),
            "in_size": 16,
            "out_size": 16,
            "channels": {r: c for r, c in config.channels.items() if r < 32},
        }
    )
    seen = ModelCard(name="half", details={"images_seen": {"finetune": 10}})
    checkpoint.write(tmp_path / "half.safetensors", GPEN(half).state_dict(), half, seen)
    call(
        script("open_model/enlarge.py"), monkeypatch, recipe, tmp_path / "half.safetensors", tmp_path / "a.safetensors"
    )
    first = checkpoint.read(tmp_path / "a.safetensors")
    assert (first.config, first.card.details["images_seen"]) == (config, {"finetune, smaller": 10})
    name = "final_linear.0.weight"
    second = {**first.state_dict(), name: first.state_dict()[name] + 1}
    checkpoint.write(tmp_path / "b.safetensors", second, config, first.card)
    words = [tmp_path / "a.safetensors", tmp_path / "b.safetensors", 0.25, tmp_path / "mean.safetensors"]
    call(script("open_model/average.py"), monkeypatch, *words)
    mean = checkpoint.read(tmp_path / "mean.safetensors")
    assert mean.card.details["averaged"] == 0.25
    torch.testing.assert_close(mean.state_dict()[name], first.state_dict()[name] + 0.25)


def test_damage_is_fitted_to_faces(aligned, monkeypatch, capsys):
    call(script("damage/fit.py"), monkeypatch, aligned, aligned, "--count", 2)
    said = capsys.readouterr().out
    assert "_WEIGHTS = [" in said
    assert "all, by structure: rank correlation" in said


def test_a_run_ships_with_its_card_its_curves_and_its_discriminator(tmp_path, monkeypatch):
    ship = script("ship.py")
    run, pairs, place = tmp_path / "run", tmp_path / "pairs", tmp_path / "place"
    for folder in ("hq", "lq_balanced"):
        make_faces(pairs / folder, 2, 32)
    for folder in (run, place / "open_model"):
        folder.mkdir(parents=True)
    network = {"network": {"size": 32}, "losses": {"adversarial": 1.0}}
    details = {"recipe": network, "images_seen": {"prior, smaller": 3, "finetune": 5}, "hours": 0.5}
    model = small_model(
        GPENConfig.standard(32, narrow=0.02, style_dim=16, n_mlp=2), ModelCard(name="tiny", details=details)
    )
    checkpoint.write(run / "model.safetensors", model.state_dict(), model.config, model.card)
    save_tensors(run / "discriminator.safetensors", {"weight": torch.ones(2)}, {"format": "pt"})
    (run / "curves.png").write_bytes(b"curves")
    about = json.loads((TRAINING / "open_model" / "gpen-open-256.json").read_text())
    (place / "open_model" / "tiny.json").write_text(json.dumps({**about, "sharpen": 0.5}))
    monkeypatch.setattr(ship, "HERE", place)
    monkeypatch.setattr(ship, "BUNDLED", place / "bundled")
    call(ship, monkeypatch, run, "--judged", pairs, "--earlier", run)
    shipped = load_model(place / "bundled" / "tiny.safetensors", device="cpu").card
    assert (shipped.licence, shipped.sharpen, shipped.details["hours"]) == (about["licence"], 0.5, 1.0)
    assert "prior at a smaller size 3, finetune at 32 px 5" in (place / "bundled" / "tiny.md").read_text()
    halves = read_tensors(place / "open_model" / "discriminator.safetensors").tensors
    assert halves["weight"].dtype == torch.float16
    assert (place / "open_model" / "curves-tiny.png").read_bytes() == b"curves"


def test_the_ablation_reports_what_is_finished(tmp_path, monkeypatch):
    pytest.importorskip("skimage", reason="no skimage here: pip install scikit-image")
    place = tmp_path / "runs" / "GPEN-0"
    place.mkdir(parents=True)
    small_model(GPENConfig.standard(64, narrow=0.02, style_dim=16, n_mlp=2)).save_pretrained(place)
    run = script("ablation/run.py")
    figures = {f"{side}{name}": 1.0 + (side == "") for name in run.FIGURES for side in ("", "input_")}
    (place / "figures.json").write_text(json.dumps({**figures, "images": 16}))
    words = [tmp_path, tmp_path, tmp_path / "runs", "--only-report", "--report", tmp_path, "--images"]
    call(run, monkeypatch, *words, "16")
    assert "| GPEN | 1 | 2.000 | 2.000 | 2.000 | 2.000 | 2.000 |" in (tmp_path / "ablation.md").read_text()
    with Image.open(tmp_path / run.PICTURE) as picture:
        assert picture.size == (3 * 64 * 2, 3 * 64 * 2)
    with pytest.raises(SystemExit, match="has seen 32 images"):
        call(run, monkeypatch, *words, "32")
