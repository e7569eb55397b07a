"""The scripts of `docs/scripts/` that measure and write pages, on a picture or two."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import small_model
from training_runs import make_faces
from training_scripts import DOCS, TRAINING, call, script

from gpen_core import GPENConfig
from gpen_core.weights import checkpoint
from gpen_core.weights.entry import BUNDLED

ROOT = TRAINING.parent
EXAMPLE = ROOT / "gpen_core" / "examples" / "sent-around.jpg"
DETECTOR = BUNDLED / "gpen-open-detector.safetensors"


class Judge:
    """Tells how far faces are apart by their pixels."""

    def distances(self, faces: list[torch.Tensor], original: torch.Tensor) -> list[float]:
        return [float((face - original).abs().mean()) for face in faces]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch):
    """A script by its name; others that it imports stand beside it; dlib is empty."""
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setitem(sys.modules, "dlib", ModuleType("dlib"))
    return lambda name: script(DOCS / f"{name}.py")


@pytest.fixture
def people(tmp_path: Path) -> list[Path]:
    """Two photographs each of two people, and the table that says so."""
    faces = make_faces(tmp_path / "people", 4)
    rows = [f"{path.name},val,{index // 2}" for index, path in enumerate(sorted(faces.iterdir()))]
    (tmp_path / "table.csv").write_text("\n".join(["file,split,identity", *rows]))
    return [faces, tmp_path / "table.csv"]


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A folder with a picture without a face."""
    (tmp_path / "noise").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise" / "a.png")
    return tmp_path / "noise"


def test_the_plan_of_a_bulk_run_times_its_stages(named, noise, monkeypatch, capsys):
    pytest.importorskip("pyarrow", reason="no pyarrow here: pip install 'gpen[ray]'")
    call(named("plan_bulk"), monkeypatch, noise, "--count", 1, "--workers", 2)
    said = capsys.readouterr().out
    assert said.startswith("1 pictures, 0 faces")
    assert [line.split()[0] for line in said.splitlines()[1:6]] == ["read", "detect", "network", "beside", "write"]


def test_the_plan_of_a_training_counts_every_turn(named, monkeypatch, capsys):
    call(named("plan_training"), monkeypatch, "--sizes", 8, "--measured", 1)
    said = capsys.readouterr().out
    assert all(turn in said for turn in ("discriminator", "R1", "generator", "path length"))
    assert "this device" in said


def test_a_training_step_is_timed(named, monkeypatch, capsys):
    words = ["--size", 16, "--narrow", 0.02, "--steps", 1, "--path-shrink", 1, "--batch", 2, "--threads", 1]
    call(named("bench_training"), monkeypatch, *words)
    assert capsys.readouterr().out.count("images/s") == 2


def test_restoring_is_timed(named, monkeypatch, capsys):
    words = [EXAMPLE, "--detector", DETECTOR, "--rounds", 1, "--scale", 1, "--threads", 1]
    call(named("bench_restore"), monkeypatch, *words)
    assert capsys.readouterr().out.startswith("1 faces in 320×320")


def test_a_film_is_timed(named, monkeypatch, capsys):
    pytest.importorskip("av", reason="no av here: pip install 'gpen[video]'")
    call(named("bench_video"), monkeypatch, "--frames", 4, "--size", 64, "--threads", 1, "--preset", "ultrafast")
    assert "4 frames 1280×720, 8 faces" in capsys.readouterr().out


def test_seams_are_measured(named, tmp_path, monkeypatch, capsys):
    call(named("measure_seams"), monkeypatch, EXAMPLE, "--detector", DETECTOR, "--save", tmp_path)
    assert capsys.readouterr().out.count("medians of 1 faces") == len(list(tmp_path.iterdir())) == 4


def test_what_covers_a_face_is_measured(named, tmp_path, monkeypatch, capsys):
    module = named("measure_occlusion")
    monkeypatch.setattr(module, "load_model", lambda: small_model(GPENConfig.standard(64, narrow=0.02)))
    call(module, monkeypatch, make_faces(tmp_path / "faces", 1, 64), "--count", 1, "--photographs", EXAMPLE.parent)
    said = capsys.readouterr().out
    assert said.count("2 uncovered faces") == 2
    assert said.count("what covers changes by") == 8


def test_sharp_faces_are_measured_at_their_sizes(named, monkeypatch, capsys):
    call(named("measure_large_faces"), monkeypatch, EXAMPLE, "--heights", 120, "--damages", "blur 1")
    assert "| sent-around | 120 px | blur 1 |" in capsys.readouterr().out


def test_the_memory_of_a_folder_is_measured(named, monkeypatch, capsys):
    call(named("measure_folder_memory"), monkeypatch, "--pictures", 10, "--size", 16)
    assert "10 done, 10 faces" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["measure_gallery", "measure_personal"])
def test_what_is_owed_to_a_person_is_measured(name, named, people, monkeypatch, capsys):
    module = named(name)
    monkeypatch.setattr(module, "Judge", Judge)
    monkeypatch.setattr(module, "load_model", lambda **_: small_model())
    words = [*people, *(["--steps", 1, "--people", 2] if name == "measure_personal" else ["--damage", "balanced"])]
    with torch.set_grad_enabled(name == "measure_personal"):
        call(module, monkeypatch, *words)
    said = capsys.readouterr().out
    assert ("owed to the person" if name == "measure_personal" else "balanced, own photographs") in said


def test_likeness_is_measured(named, people, monkeypatch, capsys):
    module = named("measure_identity")
    monkeypatch.setattr(module, "Judge", Judge)
    monkeypatch.setattr(module, "load_model", lambda *_, **__: small_model())
    call(module, monkeypatch, people[0], people[0])
    assert "higher in 0 of 4" in capsys.readouterr().out


def test_the_walk_of_a_photograph_is_followed(named, noise, monkeypatch, capsys):
    call(named("walk"), monkeypatch, noise / "a.png")
    assert "weights → config" in capsys.readouterr().out


def test_the_page_of_models_is_written(named, tmp_path, monkeypatch):
    module = named("write_models")
    monkeypatch.setattr(module, "PAGE", tmp_path / "models.md")
    for folder in ("hq", "lq_balanced"):
        make_faces(tmp_path / "pairs" / folder, 2, 32)
    model = small_model(GPENConfig.standard(32, narrow=0.02, style_dim=16, n_mlp=2))
    checkpoint.write(tmp_path / "tiny.safetensors", model.state_dict(), model.config, model.card)
    words = [tmp_path / "pairs", "--models", tmp_path / "tiny.safetensors", "--work", tmp_path / "work"]
    call(module, monkeypatch, *words)
    page = (tmp_path / "models.md").read_text()
    assert "## 2 faces of 32 px" in page
    assert "| tiny" in page


def test_the_page_of_options_and_the_registrys_pictures_are_written(named, tmp_path, monkeypatch):
    module = named("write_options")
    monkeypatch.setattr(module, "OUT", tmp_path / "options.md")
    call(module, monkeypatch)
    assert (tmp_path / "options.md").read_text() == (ROOT / "docs" / "options.md").read_text()
    pictures = named("make_registry_pictures")
    monkeypatch.setattr(pictures, "OUT", tmp_path)
    call(pictures, monkeypatch)
    with Image.open(tmp_path / "icon.png") as icon, Image.open(tmp_path / "banner.jpg") as banner:
        assert (icon.size, banner.size) == ((400, 400), (1344, 576))


def test_a_thumbnail_is_drawn_for_each_workflow(named, tmp_path, monkeypatch):
    module = named("make_thumbnails")
    assert {f"{title}.json" for title in module.SHOWN} == {path.name for path in module.OUT.glob("*.json")}
    monkeypatch.setattr(module, "SHOWN", {"one": (EXAMPLE, True)})
    monkeypatch.setattr(module, "OUT", tmp_path)
    call(module, monkeypatch)
    with Image.open(tmp_path / "one.jpg") as made:
        assert made.size == (module.SIDE, module.SIDE)


def test_the_repository_is_written_where_the_registry_reads_it(named, tmp_path, monkeypatch):
    module = named("registry_metadata")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    call(module, monkeypatch, "https://github.com/us/pack", "--publisher", "us")
    assert 'Repository = "https://github.com/us/pack"' in (tmp_path / "pyproject.toml").read_text()


def test_every_workflow_and_block_is_written_from_what_the_nodes_say(named, tmp_path, monkeypatch):
    module = named("make_workflows")
    infos: dict[str, dict] = {}
    for graph in (*module.GRAPHS.values(), *module.BLUEPRINTS.values()):
        for node in graph.nodes.values():
            info = infos.setdefault(node.kind, {"input": {"required": {"image": ["IMAGE"]}}, "display_name": ""})
            for name, given in node.inputs.items():
                info["input"]["required"][name] = ["IMAGE" if isinstance(given, tuple) else "STRING"]
            info["input_order"] = {"required": list(info["input"]["required"])}
            info["output"] = info["output_name"] = ["IMAGE"] * 8
    (tmp_path / "info.json").write_text(json.dumps(infos))
    shipped = {name: {path.name for path in getattr(module, name).glob("*.json")} for name in ("PAGES", "BLOCKS")}
    for name in ("PAGES", "SERVER", "BLOCKS"):
        monkeypatch.setattr(module, name, tmp_path / name)
    call(module, monkeypatch, tmp_path / "info.json")
    for name, files in {**shipped, "SERVER": shipped["PAGES"]}.items():
        assert {path.name for path in (tmp_path / name).iterdir()} == files
