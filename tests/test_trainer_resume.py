"""Going on: after kills to the same result, with changes only where they are allowed, and told of in the card."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import loop, make_faces, recipe, script_environment, silent, weights

from gpen_core import load_model
from gpen_core.errors import ChangedRunError, InputError, TrainingError
from gpen_core.trainer import Places, Sources, train
from gpen_core.trainer import folder as folders
from gpen_core.trainer.checkpoint import copy_checkpoint, list_checkpoints, read_checkpoint, write_checkpoint
from gpen_core.trainer.folder import forget
from gpen_core.trainer.history import history_lines
from gpen_core.trainer.log import read_log
from gpen_core.trainer.loop import Limits
from gpen_core.trainer.results import appearing_together, model_card

KILLS = Path(__file__).parent / "training_kills.py"


def test_a_run_killed_at_its_file_operations_ends_like_one_that_was_not(tmp_path):
    faces = make_faces(tmp_path / "faces")
    command = [sys.executable, str(KILLS), str(faces), str(tmp_path / "runs"), "0.37", "0.97"]
    done = subprocess.run(command, env=script_environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("2 kills"), done.stdout
    assert done.stdout.splitlines()[-1].endswith(" 0 faults"), done.stdout


def test_a_checkpoint_is_replaced_in_one_move(tmp_path, monkeypatch):
    folder, first, second = tmp_path / "best", {"a": torch.zeros(3)}, {"a": torch.ones(3)}
    write_checkpoint(folder, first, {"score": 1})

    def stop(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(folder, second, {"score": 2})
    monkeypatch.undo()
    tensors, state = read_checkpoint(folder)
    assert torch.equal(tensors["a"], first["a"])
    assert state == {"score": 1}
    write_checkpoint(folder, second, {"score": 2})
    tensors, state = read_checkpoint(folder)
    assert torch.equal(tensors["a"], second["a"])
    assert state == {"score": 2}
    assert len(list(folder.iterdir())) == 2, "nothing of the interrupted writer is left"


def test_a_copied_checkpoint_stays_when_its_source_is_replaced(tmp_path):
    write_checkpoint(tmp_path / "best", {"a": torch.zeros(3)}, {"score": 1})
    copy_checkpoint(tmp_path / "best", tmp_path / "000000000001")
    write_checkpoint(tmp_path / "best", {"a": torch.ones(3)}, {"score": 2})
    copy_checkpoint(tmp_path / "best", tmp_path / "000000000002")
    assert [float(read_checkpoint(p)[0]["a"][0]) for p in list_checkpoints(tmp_path)] == [0, 1]


def test_a_checkpoint_of_the_first_version_is_read_without_a_list_of_its_parts(tmp_path):
    write_checkpoint(tmp_path / "1", {"a": torch.arange(4)}, {"x": 1})
    record = json.loads((tmp_path / "1" / "state.json").read_text())
    del record["parts"]
    (tmp_path / "1" / "state.json").write_text(json.dumps(record))
    tensors, state = read_checkpoint(tmp_path / "1")
    assert torch.equal(tensors["a"], torch.arange(4))
    assert state == {"x": 1}


def test_finished_files_appear_together_and_what_an_error_or_a_kill_left_is_swept(tmp_path):
    failing = appearing_together(tmp_path)
    (failing.__enter__() / "model.safetensors").write_text("half")
    with pytest.raises(OSError, match="full"):
        failing.gen.throw(OSError("the disk is full"))
    assert not list(tmp_path.iterdir())
    with appearing_together(tmp_path) as folder:
        place = folder
    place.mkdir()
    (place / "grid.png").write_text("half")
    with appearing_together(tmp_path) as folder:
        for name in ("model.safetensors", "README.md"):
            (folder / name).write_text("whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "model.safetensors"]


def test_forgetting_a_run_takes_its_best_weights_too(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    copy_checkpoint(list_checkpoints(out / "checkpoints")[-1], out / "best")
    forget(out)
    assert not list_checkpoints(out / "checkpoints")
    assert not (out / "best").exists()
    assert not (out / "log.jsonl").exists()


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"seed": 4}, "seed: 3 there, 4 here"),
        ({"losses": {"content": 0.5}}, r"losses\.content: 1\.0 there, 0\.5 here"),
        ({"data": {"degradation": "balanced"}}, r"data\.degradation: gpen-released there, balanced here"),
        ({"data": {"batch": 4}}, r"data\.batch × data\.accumulate: 2 there, 4 here"),
        ({"augmentation": {"target": 0.6}}, r"augmentation\.target: 0\.0 there, 0\.6 here"),
        ({"network": {"template": "gpen"}}, r"network\.template: ffhq there, gpen here"),
    ],
)
def test_going_on_otherwise_is_refused_unless_allowed_and_then_the_card_tells(tables, named, tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    with pytest.raises(TrainingError, match=rf"{named}.*--allow-changed"):
        loop(recipe(**tables), faces, out)
    run = loop(recipe(**tables), faces, out, allow_changed=True)
    run.run(Limits(images=4), silent)
    (entry,) = model_card(run.stepper, {}).details["recipe_history"]
    assert entry["images"] == 2
    (line,) = history_lines([entry])
    assert line.startswith("From image 2 on: `")
    again = loop(recipe(**tables), faces, out)
    assert len(again.progress.history) == 1, "it is told once"


def test_going_on_from_another_model_than_the_run_began_with_is_refused(tmp_path):
    places = Places(data=make_faces(tmp_path / "faces"), out=tmp_path / "out")
    for seed, name in enumerate(("first", "other")):
        alone = replace(places, out=tmp_path / name)
        train(recipe(seed=seed), alone, Sources(), Limits(images=2), silent, device="cpu")
    first, other = (Sources(generator=tmp_path / name / "model.safetensors") for name in ("first", "other"))
    train(recipe(), places, first, Limits(images=4), silent, device="cpu")
    with pytest.raises(ChangedRunError, match=r"generator: \w{12} there, \w{12} here") as told:
        train(recipe(), places, other, Limits(images=6), silent, device="cpu")
    assert told.value.changed.startswith("generator")
    for sources in (first, Sources()):  # the same, or none where the checkpoint has all
        train(recipe(), places, sources, Limits(images=6), silent, device="cpu")
    for images in (8, 10):
        train(recipe(), places, other, Limits(images=images), silent, device="cpu", allow_changed=images == 8)
    told = load_model(places.out / "model.safetensors").card.details["recipe_history"]
    assert [list(entry["changed"]) for entry in told] == [["generator"]], "it is told once"


def test_going_on_drops_the_checkpoints_that_a_kill_kept_from_being_dropped(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    for images in (2, 4):
        loop(recipe(run={"keep": 2}), faces, out).run(Limits(images=images), silent)
    (out / "checkpoints" / "000000000006").mkdir()
    loop(recipe(run={"keep": 1}), faces, out).run(Limits(images=4), silent)
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["000000000004"]


def test_a_second_run_into_the_same_folder_is_refused_and_throws_nothing_away(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_PATIENCE", 0)
    places = Places(data=make_faces(tmp_path / "faces"), out=tmp_path / "out")
    made = recipe(run={"checkpoint_minutes": 1e-9})
    refused = []

    def report(images: int, losses: object) -> None:
        before = sorted(places.out.rglob("*"))
        for fresh in (False, True):
            with pytest.raises(InputError, match="another run is writing"):
                train(made, places, Sources(), Limits(images=2), silent, device="cpu", fresh=fresh)
        assert sorted(places.out.rglob("*")) == before
        refused.append(images)

    train(made, places, Sources(), Limits(images=4), report, device="cpu")
    assert refused == [2, 4]
    assert len(read_log(places.out)) > 0
    train(made, places, Sources(), Limits(images=6), silent, device="cpu")


def test_other_faces_are_other_data_wherever_they_lie(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    moved = faces.rename(tmp_path / "elsewhere")
    loop(recipe(), moved, out)
    make_faces(moved, count=7)
    with pytest.raises(TrainingError, match=r"faces: 6 pictures \(.*\) there, 7 pictures"):
        loop(recipe(), moved, out)


def test_rates_and_lengths_may_change_and_the_card_tells_of_the_rates(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    run = loop(recipe(rates={"encoder": 1e-3}, run={"max_images": 50, "log_every": 2}, name="other"), faces, out)
    assert run.progress.history == [{"images": 2, "changed": {"rates.encoder": [2e-3, 1e-3]}}]


def test_the_same_step_in_smaller_batches_is_no_change(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    run = loop(recipe(data={"batch": 1, "accumulate": 2}), faces, out)
    run.run(Limits(images=6), silent)
    assert run.progress.history == []
    assert (run.progress.step_images, run.progress.steps) == (2, 3)


def test_a_checkpoint_of_an_older_version_goes_on(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    state = out / "checkpoints" / "000000000002" / "state.json"
    record = json.loads(state.read_text())
    for newer in ("faces", "history", "step_images", "best_by"):
        del record["state"]["progress"][newer]
    state.write_text(json.dumps(record))
    run = loop(recipe(), faces, out)
    run.run(Limits(images=4), silent)
    assert run.progress.images == 4
    record["state"]["progress"]["unheard_of"] = 1
    state.write_text(json.dumps(record))
    for later in list_checkpoints(out / "checkpoints")[1:]:
        (later / "state.json").unlink()
    with pytest.raises(TrainingError, match="unheard_of"):
        loop(recipe(), faces, out)


def test_a_run_that_has_nothing_left_to_do_writes_its_checkpoint_no_second_time(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    (last,) = list_checkpoints(out / "checkpoints")
    before = {p.name: p.stat().st_mtime_ns for p in last.iterdir()}
    run = loop(recipe(), faces, out)
    kept = weights(run)
    run.run(Limits(images=2), silent)
    assert {p.name: p.stat().st_mtime_ns for p in last.iterdir()} == before
    assert all(torch.equal(kept[name], tensor) for name, tensor in weights(run).items())
