"""Models on disk: which files the nodes offer, find, fetch, refuse and read again."""

from __future__ import annotations

import gc
import inspect
import os
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from face_stand_ins import SIZE
from nodes_under_test import Pack


def write_model(pack: Pack, path: Path, task: str = "restoration") -> None:
    config, card = pack.module("gpen_core.config"), None
    settings = config.GPENConfig.standard(SIZE, channel_multiplier=1, narrow=0.03125)
    card = config.ModelCard(name="tiny", task=task)
    gpen = pack.module("gpen_core.weights").GPEN(settings, card, generator=torch.Generator().manual_seed(0))
    path.parent.mkdir(parents=True, exist_ok=True)
    pack.module("gpen_core.weights.checkpoint").write(path, gpen.state_dict(), settings, card)


def choices(pack: Pack, option: str) -> list[str]:
    (part,) = (part for part in pack.nodes["GPEN_LoadModel"].GET_SCHEMA().inputs if part.id == option)
    return list(part.options["options"])


def test_models_in_the_folders_of_other_packs_are_found_and_loaded(pack: Pack) -> None:
    folder = pack.engine.root / "models" / "facerestore_models"
    write_model(pack, folder / "mine.safetensors")
    others = {"GFPGANv1.4.pth", "codeformer.pth", "GPEN-BFR-512.onnx"}
    for name in (*others, "VQFR_v2.pth", "notes.txt"):
        (folder / name).write_bytes(b"x")
    names = choices(pack, "model")
    assert names[0] == "gpen-open"
    assert "mine.safetensors" in names
    assert others <= set(names)
    assert not {"VQFR_v2.pth", "notes.txt"} & set(names)
    model = pack.run("GPEN_LoadModel", model="mine.safetensors", precision="fp32")[0]
    assert (model.config.in_size, model.card.name) == (SIZE, "tiny")
    image = torch.rand(1, 150, 180, 3)
    crops = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=image[:, :64, :64])[0]
    assert crops.shape == (1, SIZE, SIZE, 3)


def test_another_networks_file_is_refused_by_name(pack: Pack) -> None:
    from safetensors.torch import save_file

    folder = pack.engine.root / "models" / "facerestore_models"
    folder.mkdir(parents=True)
    save_file({"stylegan_decoder.style_convs.0.weight": torch.zeros(2, 2)}, folder / "renamed.safetensors")
    with pytest.raises(pack.module("gpen_core.errors").WeightsError, match=r"renamed\.safetensors"):
        pack.run("GPEN_LoadModel", model="renamed.safetensors")


def test_registrations_of_other_packs_stay_and_users_paths_are_searched(pack: Pack, tmp_path: Path) -> None:
    users, default = tmp_path / "elsewhere", tmp_path / "models" / "facerestore_models"
    extensions = {".pth", ".safetensors"}
    pack.engine.folders["facerestore_models"] = ([str(users)], extensions)
    write_model(pack, users / "theirs.safetensors")
    assert "theirs.safetensors" in choices(pack, "model")
    paths, kept = pack.engine.folders["facerestore_models"]
    assert paths == [str(users), str(default)]
    assert kept is extensions
    assert kept == {".pth", ".safetensors"}
    assert not default.exists()


def test_a_missing_model_is_named_with_its_option_and_folder(pack: Pack) -> None:
    check = pack.nodes["GPEN_LoadModel"].validate_inputs
    assert check(model="gpen-open") is True
    assert check(model="GPEN-BFR-512") is True
    said = check(model="gone.pth")
    assert "model names gone.pth" in said
    assert str(pack.engine.root / "models" / "facerestore_models") in said
    # A page marks every input that the check names: only the model's own, and the others by their lists.
    assert list(inspect.signature(check).parameters) == ["model"]
    errors = pack.module("gpen_core.errors")
    with pytest.raises(errors.WeightsError, match=r"detector names gone\.pth"):
        pack.module("nodes.files").locate("gone.pth", "facedetection", option="detector")


def test_a_hub_that_cannot_be_reached_offers_the_model_that_ships(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = pack.module("gpen_core.errors")

    def fetch(entry: object) -> None:
        raise errors.HubError("the Hub cannot be reached")

    monkeypatch.setattr(pack.module("nodes.files"), "fetch", fetch)
    with pytest.raises(errors.HubError, match="gpen-open, which ships") as caught:
        pack.run("GPEN_LoadModel", model="GPEN-BFR-512")
    assert "GPEN-BFR-512.pth" in str(caught.value)
    assert "facerestore_models" in str(caught.value)


def test_a_fetched_model_is_kept_in_the_folder_and_never_overwrites(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = pack.engine.root / "cache" / "GPEN-BFR-512.safetensors"
    write_model(pack, cached)
    files = pack.module("nodes.files")
    asked: list[object] = []
    monkeypatch.setattr(files, "fetch", lambda entry: asked.append(entry) or cached)
    adapter = pack.module("nodes.adapter")
    kept = files.locate("GPEN-BFR-512", adapter.RESTORERS, option="model")
    assert kept == pack.engine.root / "models" / "facerestore_models" / "GPEN-BFR-512.pth"
    assert kept.read_bytes() == cached.read_bytes()
    kept.unlink()
    kept.write_bytes(b"the user's own")
    assert files.locate("GPEN-BFR-512", adapter.RESTORERS, option="model").read_bytes() == b"the user's own"
    assert len(asked) == 1


def test_a_replaced_file_is_read_again(pack: Pack) -> None:
    path = pack.engine.root / "models" / "facerestore_models" / "mine.safetensors"
    write_model(pack, path)
    ask = pack.nodes["GPEN_LoadModel"].fingerprint_inputs
    before = ask(model="mine.safetensors", precision="auto")
    assert ask(model="mine.safetensors", precision="auto") == before
    shutil.copy(path, path.with_name("other"))
    path.unlink()
    write_model(pack, path, task="inpainting")
    assert ask(model="mine.safetensors", precision="auto") != before


@pytest.mark.parametrize("choice", ["auto", "detection_Resnet50_Final.pth"])
def test_a_detector_that_is_added_replaced_or_taken_away_is_noticed(pack: Pack, choice: str) -> None:
    path = pack.engine.root / "models" / "facedetection" / "detection_Resnet50_Final.pth"
    ask = pack.nodes["GPEN_LoadModel"].fingerprint_inputs
    seen = [ask(model="gpen-open", detector=choice)]
    path.parent.mkdir(parents=True, exist_ok=True)
    for content in (b"one", b"two"):  # of one size
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))  # and time
        seen.append(ask(model="gpen-open", detector=choice))
        assert ask(model="gpen-open", detector=choice) == seen[-1]
        path.unlink()
    seen.append(ask(model="gpen-open", detector=choice))
    assert len(set(seen)) == 3
    assert seen[0] == seen[-1]


def test_a_parser_that_is_added_is_noticed_and_a_repository_takes_the_models_place(pack: Pack) -> None:
    ask = pack.nodes["GPEN_LoadModel"].fingerprint_inputs
    before = ask(model="gpen-open", parser="auto"), ask(model="gpen-open", parser="none")
    path = pack.engine.root / "models" / "facedetection" / "parsing_parsenet.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    assert ask(model="gpen-open", parser="auto") != before[0]
    assert ask(model="gpen-open", parser="none") == before[1]
    assert ask(model="gpen-open", repository="me/one") != ask(model="gpen-open", repository="me/two")
    assert ask(model="gpen-open", repository="me/one") == ask(model="GPEN-BFR-512", repository="me/one")


@pytest.mark.parametrize("name", ["GPEN_Restore", "GPEN_RestoreAdvanced", "GPEN_RestoreVideo"])
def test_a_node_without_a_loader_notices_a_detector_that_is_added(pack: Pack, name: str) -> None:
    ask, read = pack.nodes[name].fingerprint_inputs, pack.module("nodes.kept").model_by_name
    chosen = {"model": "gpen-open"} if name == "GPEN_Restore" else {}
    before, model = ask(**chosen), read("gpen-open")
    assert ask(**chosen) == before
    assert read("gpen-open") is model
    path = pack.engine.root / "models" / "facedetection" / "detection_Resnet50_Final.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    assert ask(**chosen) != before
    assert read("gpen-open") is not model


def test_a_model_that_no_loader_gave_goes_with_the_last_node_that_may_ask_for_it(pack: Pack) -> None:
    nodes = [pack.nodes[name]() for name in ("GPEN_Restore", "GPEN_RestoreAdvanced", "GPEN_RestoreVideo")]
    read = pack.module("nodes.kept").model_by_name
    gone = weakref.ref(read("gpen-open"))
    while nodes:
        assert gone() is not None
        nodes.pop()
        gc.collect()
    assert gone() is None
