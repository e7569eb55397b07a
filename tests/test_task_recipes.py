"""The recipes of the other tasks: what they train is what the task's own functions take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from task_models import face_map
from training_runs import make_faces, silent

from gpen_core import GPEN, load_model
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.data import Degradation, FaceFolder, Feed, MappedFaces
from gpen_core.errors import ConfigError, TrainingError
from gpen_core.faces.mask import LABELS
from gpen_core.faces.palette import mirror_labels
from gpen_core.tasks import colorize_face, inpaint_face, paint, read_labels, synthesize_face
from gpen_core.trainer import Limits, Places, Sources, read_recipe, train
from gpen_core.trainer.recipe import Recipe
from gpen_core.trainer.sources import load_sources
from gpen_core.trainer.stages import build_stage
from gpen_core.trainer.start import change_range
from gpen_core.weights.checkpoint import write

SIZE = 16
SMALL = {
    "network.size": SIZE,
    "network.narrow": 0.02,
    "network.style_dim": 12,
    "network.n_mlp": 2,
    "data.batch": 2,
    "data.workers": 0,
    "run.precision": "fp32",
    "run.validation_pictures": 0,
    "losses.r1": 0.0,
    "run.validate_every": 0,
    "run.grid_every": 0,
    "losses.path_length": 0.0,
    "rates.fresh_images": 2,
}


def make_maps(folder: Path, faces: Path, size: int = 48) -> Path:
    folder.mkdir()
    picture = Image.fromarray(paint(face_map(size)))
    for face in faces.glob("*.png"):
        picture.save(folder / face.name)
    return folder


def trained(name: str, folder: Path, maps: Path | None = None) -> Path:
    places = Places(data=folder / "faces", out=folder / "run", maps=maps)
    changes = {**SMALL, "run.validation_pictures": 2} if maps else SMALL
    train(read_recipe(name, changes), places, Sources(), Limits(images=4), silent, device="cpu")
    return folder / "run" / "model.safetensors"


@pytest.mark.parametrize(
    ("recipe", "task"),
    [("colorize-256", "colorization"), ("inpaint-256", "inpainting"), ("synthesize-256", "segmentation")],
)
def test_each_recipe_trains_a_model_that_its_task_takes(recipe, task, tmp_path):
    faces = make_faces(tmp_path / "faces")
    maps = make_maps(tmp_path / "maps", faces) if task == "segmentation" else None
    model = load_model(trained(recipe, tmp_path, maps=maps), device="cpu")
    assert model.card.task == task
    assert model.card.value_range == ((0.0, 1.0) if task == "segmentation" else (-1.0, 1.0))
    pixels = np.array(Image.open(faces / "face_0.png"))
    if task == "colorization":
        assert colorize_face(pixels, model).shape == pixels.shape
    elif task == "inpainting":
        mask = np.zeros((SIZE, SIZE), dtype=np.float32)
        mask[4:8, 4:8] = 1
        filled = inpaint_face(pixels, model, mask=mask)
        assert np.array_equal(filled[mask == 0], pixels[mask == 0])
    else:
        assert synthesize_face(face_map(SIZE), model).shape == (SIZE, SIZE, 3)


def test_a_network_moved_to_another_range_gives_the_same_picture_there():
    config = GPENConfig.standard(SIZE, narrow=1 / 32, style_dim=16, n_mlp=2)
    network = GPEN(config, generator=torch.Generator().manual_seed(2)).double()
    x = torch.rand(2, 3, SIZE, SIZE, dtype=torch.float64)
    before = network(x)
    change_range(network, (-1.0, 1.0), (0.0, 1.0))
    assert torch.allclose(network(x), (before + 1) / 2, atol=1e-6)


def test_a_restorer_goes_on_as_another_task_with_the_same_pictures_and_its_own_count(tmp_path):
    recipe = read_recipe("synthesize-256", SMALL)
    given = GPEN(recipe.network.config, generator=torch.Generator().manual_seed(4)).eval()
    card = ModelCard(name="restorer", details={"images_seen": {"prior": 9, "finetune": 5}})
    write(tmp_path / "restorer.safetensors", given.state_dict(), given.config, card)
    stage = build_stage(recipe, torch.device("cpu"))
    facts = load_sources(stage, Sources(generator=tmp_path / "restorer.safetensors"))
    assert facts["seen"] == {"prior, restoration": 9, "finetune, restoration": 5}
    x = torch.rand(1, 3, SIZE, SIZE)
    assert torch.allclose(stage.generator(x), (given(x) + 1) / 2, atol=1e-5)


def test_maps_and_faces_are_mirrored_together_and_left_becomes_right(tmp_path):
    faces = make_faces(tmp_path / "faces", count=1)
    labels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    labels[4:8, 2:6] = LABELS.index("left eye")
    (tmp_path / "maps").mkdir()
    Image.fromarray(paint(labels)).save(tmp_path / "maps" / "face_0.png")
    mapped = MappedFaces(FaceFolder(faces, SIZE), tmp_path / "maps")
    (plain, face), (other, mirrored) = (mapped.load_pair(0, mirrored=m) for m in (False, True))
    assert torch.equal(mirrored, face.flip(-1))
    assert np.array_equal(read_labels(plain.permute(1, 2, 0).numpy()), labels)
    assert read_labels(other.permute(1, 2, 0).numpy())[5, SIZE - 4] == LABELS.index("right eye")
    assert np.array_equal(mirror_labels(mirror_labels(labels)), labels)


def test_a_feed_with_maps_gives_palette_colours_and_untouched_faces(tmp_path):
    faces = make_faces(tmp_path / "faces")
    mapped = MappedFaces(FaceFolder(faces, SIZE), make_maps(tmp_path / "maps", faces))
    feed = Feed(mapped, Degradation("none"), seed=1, on_device=True)
    batch = feed.finish(feed[[0, 1, 2, 3]], torch.device("cpu"), torch.float32)
    colours = ((batch.damaged + 1) * 127.5).round().byte().permute(0, 2, 3, 1).reshape(-1, 3)
    assert {tuple(c) for c in colours.tolist()} <= {tuple(c) for c in paint(np.arange(19)[None])[0].tolist()}
    assert batch.clean.shape == batch.damaged.shape == (4, 3, SIZE, SIZE)


def test_maps_that_do_not_fit_are_refused_by_name(tmp_path):
    faces = FaceFolder(make_faces(tmp_path / "faces"), SIZE)
    maps = make_maps(tmp_path / "maps", tmp_path / "faces")
    with pytest.raises(TrainingError, match="nowhere is not a folder; --maps takes a folder"):
        MappedFaces(faces, tmp_path / "nowhere")
    Image.fromarray(np.full((32, 32, 3), 128, np.uint8)).save(maps / "face_3.png")
    with pytest.raises(TrainingError, match=r"face_3.png: .*none of the 19 palette colours"):
        MappedFaces(faces, maps)
    Image.fromarray(paint(face_map(48)[:40])).save(maps / "face_3.png")
    with pytest.raises(TrainingError, match=r"face_3.png is 48×40; it must be square"):
        MappedFaces(faces, maps)
    (maps / "face_3.png").write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"face_3.png cannot be read"):
        MappedFaces(faces, maps)
    (maps / "face_3.png").unlink()
    with pytest.raises(TrainingError, match=r"1 of 6 faces .* have no map .* the first is face_3.png"):
        MappedFaces(faces, maps)


def test_maps_belong_to_segmentation_and_segmentation_to_maps(tmp_path):
    make_faces(tmp_path / "faces")
    with pytest.raises(TrainingError, match="name their folder with --maps"):
        trained("synthesize-256", tmp_path)
    with pytest.raises(
        TrainingError, match="--maps is for task segmentation; this recipe is stage finetune, task inpa"
    ):
        trained("inpaint-256", tmp_path, maps=tmp_path)


@pytest.mark.parametrize(
    ("task", "degradation", "remedy"),
    [
        ("colorization", "balanced", "set data.degradation = 'colorization'"),
        ("segmentation", "balanced", "set data.degradation = 'none'"),
        ("restoration", "inpainting", "set task = 'inpainting'"),
    ],
)
def test_a_task_with_the_damage_of_another_is_refused(task, degradation, remedy):
    with pytest.raises(ConfigError, match=remedy):
        Recipe.from_dict({"stage": "finetune", "task": task, "data": {"degradation": degradation}})
