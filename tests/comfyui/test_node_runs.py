"""How a node's run goes: bad input refused in one line, cancel, progress, and what is loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from face_stand_ins import detected, face_at, photograph, stand_in_model
from fake_comfyui import FakeVideo, Interrupted
from nodes_under_test import Pack


@pytest.mark.parametrize(
    ("node", "values", "message"),
    [
        ("GPEN_RestoreFaces", {"image": torch.full((1, 8, 8, 3), float("nan"))}, "image holds NaN"),
        (
            "GPEN_RestoreFaces",
            {"image": torch.zeros(1, 8, 8, 3), "mask": torch.full((1, 8, 8), float("nan"))},
            "mask holds NaN",
        ),
        ("GPEN_DetectFaces", {"image": torch.zeros(0, 8, 8, 3)}, "batch of 0"),
        ("GPEN_DetectFaces", {"image": torch.zeros(1, 8, 8, 3), "face_numbers": "0 and 2"}, "with commas between"),
        ("GPEN_ColouriseFace", {"image": torch.zeros(1, 8, 8, 3)}, "colorization.*restoration"),
        ("GPEN_InpaintFace", {"image": torch.zeros(1, 8, 8, 3)}, "inpainting.*restoration"),
        ("GPEN_SegmentationToFace", {"map": torch.zeros(1, 8, 8, 3)}, "segmentation.*restoration"),
        ("GPEN_RestoreCrops", {"crops": torch.zeros(1, 8, 8)}, "crops must"),
        ("GPEN_RestoreFaces", {"image": torch.zeros(1, 8, 8, 3), "upscale_model": 3}, "Load Upscale Model"),
        ("GPEN_RestoreFaces", {"image": torch.full((1, 150, 180, 3), 0.5), "mask_kind": "parser"}, "parser"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, node: str, values: dict[str, object], message: str
) -> None:
    monkeypatch.setattr(pack.module("nodes.files"), "fetch", no_network(pack))
    with pytest.raises(pack.module("gpen_core.errors").GPENError, match=message) as caught:
        pack.run(node, gpen_model=stand_in_model(pack), **values)
    assert "\n" not in str(caught.value)


def no_network(pack: Pack) -> object:
    def fetch(entry: object) -> None:
        raise pack.module("gpen_core.errors").HubError("the Hub cannot be reached")

    return fetch


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ("GPEN_Restore", {"model": "gpen-open", "visibility": 1.0, "faces": "by number", "face_numbers": ""}),
        (
            "GPEN_RestoreAdvanced",
            {"faces": {"faces": "by number", "face_numbers": " , "}, "mask_kind": {"mask_kind": "auto"}},
        ),
    ],
)
def test_faces_by_number_without_a_number_are_refused(pack: Pack, node: str, values: dict[str, object]) -> None:
    with pytest.raises(pack.module("gpen_core.errors").ConfigError, match=r"enter the faces' numbers, as 0 or 0,2$"):
        pack.nodes[node].execute(photograph(), **values)


def test_crops_of_another_number_or_shape_are_refused(pack: Pack) -> None:
    model, image = stand_in_model(pack), photograph()
    crops, faces = pack.run("GPEN_CropFaces", gpen_model=model, image=image, faces=detected(pack, model, image))
    with pytest.raises(ValueError, match="2 crops came for 1 face;"):
        pack.run("GPEN_PasteFaces", gpen_model=model, image=image, crops=crops.repeat(2, 1, 1, 1), faces=faces)
    with pytest.raises(ValueError, match="square"):
        pack.run("GPEN_PasteFaces", gpen_model=model, image=image, crops=crops[:, 1:], faces=faces)
    with pytest.raises(ValueError, match="Crop Faces"):
        pack.run("GPEN_PasteFaces", gpen_model=model, image=image, crops=crops, faces=detected(pack, model, image))
    with pytest.raises(ValueError, match="detect the faces in this image"):
        pack.run("GPEN_CropFaces", gpen_model=model, image=photograph()[:, 1:], faces=faces)


def test_cancel_stops_between_two_batches(pack: Pack) -> None:
    model, image = stand_in_model(pack), photograph(16)
    pack.engine.interrupt_after = 20
    with pytest.raises(Interrupted):
        pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)
    done = sum(model.network.batches)
    assert done < 16
    assert pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)[-1] == 16


def test_progress_runs_to_its_end(pack: Pack) -> None:
    pack.run("GPEN_RestoreFaces", gpen_model=stand_in_model(pack), image=photograph(5))
    done, total, _ = pack.engine.progress[-1]
    assert done == total
    assert any(preview is not None for _, _, preview in pack.engine.progress)


def test_everything_a_run_needs_is_loaded_in_one_call(pack: Pack) -> None:
    pack.run("GPEN_RestoreFaces", gpen_model=stand_in_model(pack, parser=True), image=photograph())
    ((patchers, memory),) = pack.engine.loads
    assert len(patchers) == 3
    assert memory > 0


def test_a_model_that_is_not_connected_is_not_asked_for_and_one_that_is_only_where_it_is_seen(pack: Pack) -> None:
    ask = pack.nodes["GPEN_RestoreAdvanced"].check_lazy_status
    assert ask(visibility=1.0) == []
    assert ask(visibility=1.0, gpen_model=None) == ["gpen_model"]
    assert ask(visibility=0.0, gpen_model=None) == []
    assert ask(visibility=1.0, gpen_model="read") == []


def test_a_moved_slider_mixes_what_was_made_and_everything_else_makes_it_anew(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = photograph(), torch.rand(1, 150, 180, generator=torch.Generator().manual_seed(0))
    model = stand_in_model(pack, gain=0.5)
    made: list[object] = []
    restore = pack.module("nodes.restoring")
    work = restore.prepared_restorer
    monkeypatch.setattr(restore, "prepared_restorer", lambda *given, **more: made.append(1) or work(*given, **more))

    def run(chosen: object, **values: object) -> tuple[torch.Tensor, ...]:
        return pack.run("GPEN_RestoreFaces", **{"gpen_model": chosen, "image": image, "mask": mask, **values})

    run(model)
    for visibility in (0.7, 0.2, 1.0):
        moved, fresh = run(model, visibility=visibility), run(stand_in_model(pack, gain=0.5), visibility=visibility)
        for one, other in zip(moved[:4], fresh[:4], strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
        assert moved[4:] == fresh[4:]
    assert len(made) == 1 + 3  # of the fresh models
    for change in ({"image": image.clone()}, {"feather": 0.2}, {"mask": mask / 2}, {"blend": "laplacian"}):
        before = len(made)
        run(model, visibility=0.5, **change)
        assert len(made) == before + 1, change


@pytest.mark.parametrize(("megapixels", "kept"), [(12, True), (50, False)])
def test_the_slider_is_as_quick_on_a_photograph_of_twelve_megapixels(pack: Pack, megapixels: int, kept: bool) -> None:
    picture = torch.empty(1, 1000, 1000 * megapixels, 3, device="meta")
    latest, made = pack.module("nodes.memory").Latest(), (picture.clone(), picture[..., 0], 1)
    latest.put((picture, None), "settings", made)
    assert (latest.get((picture, None), "settings") is made) == kept


def test_a_picture_that_comes_twice_is_asked_for_once_and_counted_once(pack: Pack) -> None:
    memory = pack.module("nodes.memory")
    kept, asked = memory.Memory(room=100), []

    def network(crops: torch.Tensor) -> torch.Tensor:
        asked.append(len(crops))
        return crops + 1

    remembering = memory.Remembering(network, kept)
    one, other = torch.zeros(3, 2, 2), torch.ones(3, 2, 2)
    for _ in range(3):
        given = torch.stack((one, other, one))
        assert torch.equal(remembering(given), given + 1)
    assert asked == [2]
    for _ in range(5):
        kept.put(b"same", one)
        assert kept.get(b"same") is one


@pytest.mark.parametrize("smoothing", [False, True])
def test_boxes_crops_and_count_are_of_the_faces_that_were_restored(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, smoothing: bool
) -> None:
    def darkness(crops: torch.Tensor) -> torch.Tensor:
        return (crops.mean((1, 2, 3)) < 0.5).float()

    for module in ("gpen_core.restore.paste", "gpen_core.video.choice"):
        monkeypatch.setattr(pack.module(module), "damage", darkness)
    image = photograph(2, seed=3) * 0.1 + 0.8
    image[:, :, 90:] -= 0.7
    image[1] = 0.9
    faces = [face_at(pack, 20, 40, 40), face_at(pack, 115, 40, 40)]
    model = stand_in_model(pack, faces=faces, gain=0.5)
    values = {"gpen_model": model, "image": image, "temporal_smoothing": smoothing}
    result, mask, before, after, boxes, count = pack.run("GPEN_RestoreFaces", **values, only_damaged=True)
    assert [[box["x"] for box in frame] for frame in boxes] == [[115], []]
    assert (count, len(before), len(after)) == (1, 1, 1)
    assert float(before.mean()) < 0.3
    assert not bool(mask[:, :, :90].any())
    assert torch.equal(result[:, :, :90], image[:, :, :90])
    assert pack.run("GPEN_RestoreFaces", **values)[-1] == 4


def test_a_film_of_the_example_moves_the_bar_and_can_be_cancelled(pack: Pack) -> None:
    frames = pack.run("GPEN_ExamplePhotograph", frames=5)[0]
    assert len(frames) == 5
    assert [value for value, _, _ in pack.engine.progress] == [1, 2, 3, 4, 5]
    pack.engine.interrupt_after = 2
    with pytest.raises(Interrupted):
        pack.run("GPEN_ExamplePhotograph", frames=300)


class MadeVideo(FakeVideo):
    """A VIDEO that is no file yet, as Create Video gives it."""

    def get_stream_source(self) -> Any:
        return None


@pytest.mark.parametrize("kind", [FakeVideo, MadeVideo])
def test_a_restored_film_lies_alone_in_the_temporary_folder_and_the_given_one_stays(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[FakeVideo]
) -> None:
    def restore_film(source: Path, target: Path, *given: Any, **named: Any) -> SimpleNamespace:
        target.write_bytes(source.read_bytes())
        return SimpleNamespace(faces=1, spared=())

    monkeypatch.setattr(pack.module("gpen_core.video"), "restore_film", restore_film)
    monkeypatch.setattr(pack.module("nodes.adapter"), "video_from", lambda path: path)
    given = tmp_path / "given.mp4"
    given.write_bytes(b"film")
    made, count = pack.run("GPEN_RestoreVideo", video=kind(str(given)), gpen_model=stand_in_model(pack))
    assert count == 1
    assert [path.name for path in made.parent.iterdir()] == ["restored.mp4"]
    assert given.is_file()
