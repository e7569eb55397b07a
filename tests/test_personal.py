"""A model of one person: whose faces are learned, and that what does not help is not kept."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_restorers import face, inverted
from training_runs import silent

from gpen_core import load_model, personal
from gpen_core.cli import personal as verb
from gpen_core.cli.main import main
from gpen_core.cli.train import train_visibly
from gpen_core.config import GPENConfig
from gpen_core.errors import FaceError, InputError, TrainingError
from gpen_core.files import claimed
from gpen_core.measures.significance import paired
from gpen_core.restore import FaceRestorer
from gpen_core.trainer import Limits, Places, Sources, train
from gpen_core.trainer.loss_recipe import LossRecipe
from gpen_core.trainer.network_recipe import NetworkRecipe
from gpen_core.weights import GPEN, checkpoint
from gpen_core.weights.location import locate

OPEN = locate("gpen-open-256").path
#: Red as skin is.
RED, BLUE = (200, 155, 132), (40, 40, 200)


def faces_by_colour(pictures):
    """A face of 80 px at the left, where it is red, and one at the right, where it is blue."""
    (picture,) = pictures
    found = [(10, RED), (130, BLUE)]
    return [[face(x, 15, 80) for x, (r, _, _) in found if abs(float(picture[0, 40, x + 30]) * 255 - r) < 20]]


class Red:
    """Whose faces are meant: the red one's."""

    def is_meant(self, crops):
        return float(crops[:, 0].mean()) > float(crops[:, 2].mean())


def photograph(path: Path, *people: tuple[int, int, int]) -> Path:
    pixels = np.full((110, 240, 3), 120, np.uint8)
    for colour in people:
        x = 10 if colour == RED else 130
        pixels[10:100, x - 5 : x + 90] = colour
        pixels[55:70, x + 20 : x + 60], pixels[75:82, x + 20 : x + 60] = 5, 250
    # No two are alike.
    light = np.random.default_rng(list(path.name.encode())).integers(-9, 10, (11, 24, 1))
    pixels = (pixels + light.repeat(10, 0).repeat(10, 1)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def album(folder: Path, photographs: list[Path], person=None) -> personal.Album:
    return personal.cut_faces(photographs, FaceRestorer(inverted(), faces_by_colour), 64, folder, person)


def test_a_photograph_of_several_is_left_out_unless_it_is_said_whose_face_is_meant(tmp_path):
    photographs = [photograph(tmp_path / f"{n}.png", RED) for n in range(4)]
    photographs += [photograph(tmp_path / "two.png", RED, BLUE), photograph(tmp_path / "none.png")]
    alone = album(tmp_path / "a", photographs)
    assert alone.kept == 4
    assert {path.name for path in alone.left_out} == {"two.png", "none.png"}
    assert "--who" in alone.left_out[tmp_path / "two.png"]
    meant = album(tmp_path / "b", [*photographs, photograph(tmp_path / "other.png", BLUE)], Red())
    assert meant.kept == 5
    assert {path.name for path in meant.left_out} == {"none.png", "other.png"}
    for kept in (alone, meant):
        shown, held_out = (sorted(p.name for p in place.iterdir()) for place in (kept.train, kept.held_out))
        assert len(held_out) == 1
        assert len(shown) == kept.kept - 1
        assert not set(shown) & set(held_out)
        for path in (*kept.train.iterdir(), *kept.held_out.iterdir()):
            pixels = np.array(Image.open(path))
            assert pixels.shape == (64, 64, 3)
            assert pixels[..., 0].mean() > pixels[..., 2].mean()


def test_a_copy_of_a_photograph_is_neither_learned_from_twice_nor_judged_by(tmp_path):
    photographs = [photograph(tmp_path / f"{n}.png", RED) for n in range(4)]
    with Image.open(photographs[1]) as picture:
        picture.save(tmp_path / "sent.jpg", quality=60)
        picture.save(tmp_path / "same.png")
    kept = album(tmp_path / "faces", [*photographs, tmp_path / "sent.jpg", tmp_path / "same.png"])
    assert kept.kept == 4
    assert kept.left_out == {tmp_path / name: "it is a copy of 1.png" for name in ("sent.jpg", "same.png")}


def test_too_few_photographs_are_refused_with_the_reasons(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no")
    given = [photograph(tmp_path / "1.png", RED), photograph(tmp_path / "2.png", RED, BLUE), tmp_path / "broken.jpg"]
    with pytest.raises(FaceError, match=r"1 of 3 photographs .* 3 are needed .*2\.png.*broken\.jpg"):
        album(tmp_path / "out", given)


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path):
    photographs = [photograph(tmp_path / f"{n}.png", RED) for n in range(3)]
    with pytest.raises(InputError, match="is there already"):
        album(tmp_path, photographs)
    assert all(path.is_file() for path in photographs)
    for count in (3, 2):
        again = album(tmp_path / "faces", [*photographs, photograph(tmp_path / "9.png", RED)][-count - 1 :])
        assert len(list(again.train.iterdir())) == again.kept - 1 == count


def test_a_face_too_small_to_learn_from_is_left_out(tmp_path):
    with pytest.raises(FaceError, match="its face is 80 px large"):
        personal.cut_faces(
            [photograph(tmp_path / f"{n}.png", RED) for n in range(3)],
            FaceRestorer(inverted(256), faces_by_colour),
            256,
            tmp_path / "out",
        )


@pytest.mark.parametrize("own", [{}, {"concat": False, "n_mlp": 2}, {"prior": "pggan"}, {"features": False}])
def test_the_recipe_of_a_network_builds_that_network(own):
    config = GPENConfig(in_size=32, out_size=64, channels={4: 16, 8: 12, 16: 8, 32: 8, 64: 4}, style_dim=32, **own)
    made = NetworkRecipe.of(config, "ffhq")
    assert made.config == config
    assert made.template == "ffhq"


def test_the_recipe_goes_on_from_what_the_model_has_seen():
    seen = load_model(OPEN).card.details["images_seen"]["finetune"]
    recipe = personal.recipe_for(OPEN, 40)
    assert recipe.run.max_images == seen + 40
    assert recipe.card().licence == load_model(OPEN).card.licence != "unknown"
    assert recipe.card().origin.startswith("gpen-open-256 (")
    assert recipe.network.config == load_model(OPEN).config
    assert personal.recipe_for(OPEN).run.max_images > seen + 40


def test_a_run_that_would_end_before_its_first_step_is_refused(tmp_path):
    recipe = personal.recipe_for(OPEN, 40)
    losses = LossRecipe(adversarial=0.0, feature_matching=0.0, r1=0.0, path_length=0.0)
    recipe = replace(recipe, losses=losses, run=replace(recipe.run, max_images=100))
    photographs = [photograph(tmp_path / f"{n}.png", RED) for n in range(4)]
    faces = personal.cut_faces(photographs, FaceRestorer(inverted(), faces_by_colour), 256, tmp_path / "f", None, 0.1)
    places = Places(data=faces.train, out=tmp_path / "run")
    with pytest.raises(TrainingError, match=r"has seen .* the recipe ends at 100"):
        train(recipe, places, Sources(generator=OPEN), Limits(), silent, device="cpu")


@pytest.mark.parametrize(("count", "aside"), [(3, 1), (9, 1), (10, 5), (25, 5), (40, 8)])
def test_so_many_are_kept_aside_that_they_can_tell(count, aside):
    kept = personal.held_out(count)
    assert len(kept) == aside
    assert kept <= set(range(count))
    assert len(set(range(count)) - kept) >= 2


def test_only_a_model_that_restores_at_its_own_size_is_started_from(tmp_path):
    for change, said in (({"task": "colorization"}, "is for colorization"), ({}, "32 px to 64")):
        channels = {4: 8, 8: 8, 16: 4, 32: 4} | ({} if change else {64: 4})
        config = GPENConfig(in_size=32, out_size=max(channels), channels=channels, style_dim=8)
        model = GPEN(config, replace(load_model(OPEN).card, **change))
        checkpoint.write(tmp_path / "other.safetensors", model.state_dict(), config, model.card)
        with pytest.raises(InputError, match=said):
            personal.recipe_for(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="at least 1"):
        personal.recipe_for(OPEN, 0)


def differing(by: float, count: int = 8):
    before = np.linspace(0.3, 0.5, count)
    return paired(before.tolist(), (before - by + np.tile([0.01, -0.01], count)[:count]).tolist())


def test_what_does_not_help_is_not_kept(tmp_path, capsys):
    photographs = [photograph(tmp_path / f"{n}.png", RED) for n in range(10)]
    faces = album(tmp_path / "faces", photographs)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"weights")
    made = tmp_path / "model.safetensors"
    for by in (-0.05, 0.0001):  # harm, and chance
        assert not verb.conclude(tmp_path, "identity", differing(by), faces, keep=False)
        assert not made.exists()
    assert verb.conclude(tmp_path, "identity", differing(0.05, 5), faces, keep=False)
    assert made.read_bytes() == b"weights"
    # What helped stays where a later run does not; what was here before any is never replaced.
    (tmp_path / "run" / "model.safetensors").write_bytes(b"others")
    assert not verb.conclude(tmp_path, "identity", differing(-0.05), faces, keep=False)
    assert made.read_bytes() == b"weights"
    assert not verb._is_foreign(made)
    assert verb.conclude(tmp_path, "identity", differing(-0.05), faces, keep=True)
    assert made.read_bytes() == b"others"
    verdict = json.loads((tmp_path / "personal.json").read_text())
    assert verdict["faces"] == 10
    assert verdict["held_out"] == 5
    assert verdict["nearer_by"] < 0
    said = capsys.readouterr().out
    assert "identity to the originals is 12.50 % more than before (0.4000; 95 % from 10." in said
    assert "identity to the originals is 0.02 % less than before" in said
    assert "no model is written" in said
    assert "the one from before stays" in said
    made.write_bytes(b"somebody else's")
    assert verb._is_foreign(made)


def test_too_few_faces_tell_nothing(tmp_path, capsys):
    faces = album(tmp_path / "faces", [photograph(tmp_path / f"{n}.png", RED) for n in range(4)])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"weights")
    assert verb.conclude(tmp_path, "identity", paired([0.5], [0.4]), faces, keep=True)
    assert "though too few tell of it" in capsys.readouterr().out
    verdict = json.loads((tmp_path / "personal.json").read_text())
    assert verdict["interval"] is None
    assert not verdict["helps"]


def test_the_judgement_is_of_faces_held_out_and_prefers_what_is_nearer(tmp_path):
    faces = album(tmp_path / "faces", [photograph(tmp_path / f"{n}.png", RED) for n in range(10)])
    held_out = sorted(faces.held_out.iterdir())[0]
    wanted = torch.from_numpy(np.array(Image.open(held_out))).permute(2, 0, 1)[None].float() / 255
    inverting, knowing = inverted(), inverted()
    knowing.function = lambda crops: wanted.expand(len(crops), -1, -1, -1)

    def distance(result, original):
        return (result - original).abs().mean((1, 2, 3))

    found = personal.judge(FaceRestorer(inverting), FaceRestorer(knowing), faces, distance)
    assert found.count == 5  # eight damages of a face are one witness
    assert found.mean > 0.1
    assert found.p / 2 < 0.05
    assert personal.judge(FaceRestorer(knowing), FaceRestorer(inverting), faces, distance).mean < -0.1


def test_the_command_learns_judges_and_says_what_came_of_it(tmp_path, capsys, monkeypatch):
    """With a training that gives back what it was given: no photograph comes nearer by it."""

    def trained(recipe, places, sources, **how):
        (places.out).mkdir()
        (places.out / "model.safetensors").write_bytes(sources.generator.read_bytes())
        assert len(list(places.data.iterdir())) == 5
        return {}, False

    monkeypatch.setattr(verb, "train_visibly", trained)
    monkeypatch.setattr(personal, "_DRAWS", 1)
    examples = Path(personal.__file__).parent / "examples"
    (tmp_path / "in").mkdir()
    for number in range(10):
        with Image.open(examples / "sent-around.jpg") as picture:
            large = picture.resize((720 + 8 * number, 720 + 8 * number))
        large.point(lambda level, n=number: level * (20 - n) / 20).save(tmp_path / "in" / f"{number}.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "in" / "dark.png")
    (tmp_path / "in" / "cut.png").write_bytes((tmp_path / "in" / "0.png").read_bytes()[:9000])
    assert main(["personal", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 1
    said, complaint = capsys.readouterr()
    assert not complaint
    assert "dark.png: left out; no face of the person" in said
    assert re.search(r"cut\.png: left out; it is damaged [^;]*\n", said)
    assert "no model is written" in said
    assert not (tmp_path / "out" / "model.safetensors").exists()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"somebody else's")
    assert main(["personal", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert "and not from here" in capsys.readouterr().err
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == b"somebody else's"
    few = [str(path) for path in sorted((tmp_path / "in").glob("?.png"))[:4]]
    assert main(["personal", *few, "-o", str(tmp_path / "few"), "--device", "cpu"]) == 1
    assert "10 are needed to tell whether a model helps" in capsys.readouterr().err
    with claimed(tmp_path / "out" / "personal.json"):
        assert main(["personal", *few, "-o", str(tmp_path / "out")]) == 1
    assert "another run is writing" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["personal", str(tmp_path / "in"), "-o", str(tmp_path / "file")]) == 1
    assert "is a file; -o names a folder" in capsys.readouterr().err


def test_the_bar_counts_what_this_run_shows_the_model(tmp_path, capsys, monkeypatch):
    recipe = personal.recipe_for(OPEN, 16)
    before = recipe.run.max_images - 16
    assert personal.seen_before(OPEN, recipe.stage) == before > 0

    def trained(recipe, places, sources, limits, report):
        for seen in (4, 16):
            report(before + seen, {})
        return {}

    monkeypatch.setattr("gpen_core.trainer.train", trained)
    places = Places(data=tmp_path / "faces", out=tmp_path / "out")
    train_visibly(recipe, places, Sources(generator=OPEN), before=before)
    assert "16/16" in capsys.readouterr().err
