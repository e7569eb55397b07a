"""Weights through files: what is read is what was written, whatever wrapped it, and the file says what it is."""

import json
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from golden_cases import cases, load
from safetensors import safe_open
from safetensors.torch import save_file
from small_models import CARD, SMALL, small_model, small_state

import gpen_core
from gpen_core.architecture import Network, expected_shapes
from gpen_core.config import GPENConfig, ModelCard, Task
from gpen_core.files import sweep
from gpen_core.trainer.checkpoint import write_checkpoint
from gpen_core.weights import GPEN, checkpoint, load_model, zoo
from gpen_core.weights.cache import converted_path, sha256_of
from gpen_core.weights.description import choose_card, recognise, shapes_of
from gpen_core.weights.location import Located
from gpen_core.weights.tensors import save_tensors, tensors_sha256


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def write(folder: Path, card: ModelCard | None = CARD) -> Path:
    path = folder / "m.safetensors"
    checkpoint.write(path, small_state(), SMALL, card)
    return path


@pytest.mark.parametrize("case", cases("restorer"), ids=lambda c: c.name)
def test_the_configuration_is_told_by_the_shapes_alone(case: Path) -> None:
    config, weights, _ = load(case)
    assert recognise(shapes_of(weights), "golden") == config


@pytest.mark.parametrize("entry", [e for e in zoo.MODELS if e.config], ids=lambda e: e.name)
def test_every_official_configuration_is_told_by_its_shapes(entry: zoo.ZooEntry) -> None:
    assert entry.config is not None
    assert recognise(expected_shapes(entry.config), entry.name) == entry.config


@pytest.mark.parametrize("case", cases("restorer"), ids=lambda c: c.name)
def test_a_golden_network_loads_and_gives_the_reference_output(case: Path) -> None:
    _, _, io = load(case)
    model = load_model(case / "weights.safetensors", prepare=False, task="restoration", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(model(io["input"]), io["output"], rtol=0, atol=1e-4)


def test_a_written_file_gives_back_tensors_configuration_and_card(tmp_path: Path) -> None:
    config = replace(SMALL, lr_mlp=0.02)
    tensors = dict(small_model(config).state_dict())
    sha256 = checkpoint.write(tmp_path / "m.safetensors", tensors, config, CARD)
    found = checkpoint.read(tmp_path / "m.safetensors")
    assert same(found.state_dict(), tensors)
    assert found.config == config
    assert found.card == replace(CARD, details={**CARD.details, "sha256": sha256})
    assert sha256 == tensors_sha256(found.state_dict())


def test_the_header_holds_configuration_and_card_as_json(tmp_path: Path) -> None:
    with safe_open(write(tmp_path), framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert metadata["gpen.layout"] == "1"
    assert json.loads(metadata["gpen.config"]) == SMALL.to_dict()
    assert json.loads(metadata["gpen.card"]) == CARD.to_dict()
    assert len(metadata["gpen.sha256"]) == 64


def test_writing_over_the_file_that_is_mapped_leaves_the_model_intact(tmp_path: Path) -> None:
    path = write(tmp_path)
    found = checkpoint.read(path)
    checkpoint.write(path, dict(small_model(seed=1).state_dict()), SMALL, CARD)
    assert same(found.state_dict(), small_state())


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("wrapper", [None, "g_ema", "params_ema", "params", "state_dict"])
def test_pickles_are_read_bare_and_wrapped(tmp_path: Path, suffix: str, wrapper: str | None) -> None:
    path = tmp_path / f"m{suffix}"
    held = small_state() if wrapper is None else {wrapper: small_state(), "d": {"x": torch.zeros(1)}, "iteration": 3}
    torch.save(held, path)
    assert same(checkpoint.read(path, task="restoration").state_dict(), small_state())


def test_averaged_weights_are_taken_before_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save({"params": dict(small_model(seed=1).state_dict()), "params_ema": small_state()}, path)
    assert same(checkpoint.read(path, task="restoration").state_dict(), small_state())


def test_the_prefix_of_parallel_training_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save({"g_ema": {f"module.{name}": tensor for name, tensor in small_state().items()}}, path)
    assert same(checkpoint.read(path, task="restoration").state_dict(), small_state())


def test_old_pickles_without_a_zip_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(small_state(), path, _use_new_zipfile_serialization=False)
    assert same(checkpoint.read(path, task="restoration").state_dict(), small_state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_read_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "m.safetensors"
    tensors = {name: tensor.to(dtype) for name, tensor in small_state().items()}
    save_file(tensors, path)
    found = checkpoint.read(path, task="restoration").state_dict()
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
    assert same(found, {name: tensor.to(torch.float32) for name, tensor in tensors.items()})


def test_absent_blur_kernels_are_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({name: tensor for name, tensor in small_state().items() if not name.endswith("kernel")}, path)
    assert same(checkpoint.read(path, task="restoration").state_dict(), small_state())


def test_a_pickle_is_converted_once_and_then_read_from_the_cache(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(small_state(), path)
    first = GPEN.from_file(Located(path), task="restoration")
    converted = converted_path(sha256_of(path))
    assert converted.is_file()
    before = converted.stat().st_mtime_ns
    assert same(GPEN.from_file(Located(path), task="restoration").state_dict(), first.state_dict())
    assert converted.stat().st_mtime_ns == before


def test_a_conversion_does_not_fix_the_card(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(small_state(), path)
    assert GPEN.from_file(Located(path), task="colorization").card.task == "colorization"
    assert GPEN.from_file(Located(path), task="inpainting").card.task == "inpainting"


def test_a_remembered_hash_is_forgotten_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(b"one")
    first = sha256_of(path)
    path.write_bytes(b"other")
    assert sha256_of(path) != first


def test_a_file_without_a_card_is_taken_for_restoration_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, card=None)
    with pytest.warns(UserWarning, match="taken for restoration"):
        card = checkpoint.read(path).card
    assert (card.task, card.template, card.value_range) == ("restoration", "gpen", (-1.0, 1.0))
    assert card.details["card_from"] == "default"


def test_the_warning_names_the_other_tasks_of_the_same_shapes(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="colorization and inpainting models have the same shapes"):
        choose_card(GPENConfig.standard(1024), where="x.pth", name="x")


def test_a_file_name_of_the_zoo_is_taken_as_a_guess() -> None:
    with pytest.warns(UserWarning, match="by its file name, which is a guess"):
        card = choose_card(GPENConfig.standard(512), where="x", name="gpen-seg2face-512")
    assert (card.task, card.value_range) == ("segmentation", (0.0, 1.0))
    with pytest.warns(UserWarning, match="taken for restoration"):
        assert choose_card(GPENConfig.standard(256), where="x", name="GPEN-Seg2face-512").task == "restoration"


def test_a_known_file_and_the_callers_task_need_no_guess() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = choose_card(GPENConfig.standard(512), where="x", entry=zoo.find("GPEN-BFR-512"), name="model")
        asked = choose_card(GPENConfig.standard(512), where="x", task="segmentation", name="mine")
    assert (known.name, known.licence) == ("GPEN-BFR-512", "non-commercial, unsettled")
    assert (asked.name, asked.value_range, asked.licence) == ("mine", (0.0, 1.0), "unknown")


def test_a_folder_names_the_weights_in_it(tmp_path: Path) -> None:
    write(tmp_path)
    assert load_model(tmp_path, prepare=False, device="cpu").card.name == "small"


def test_a_saved_folder_comes_back_the_same(tmp_path: Path) -> None:
    model = GPEN(SMALL, CARD)
    model.load_state_dict(small_state())
    folder = model.save_pretrained(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = GPEN.from_pretrained(folder)
    assert same(dict(again.state_dict()), small_state())
    assert again.config == SMALL
    assert again.card.name == "small"
    assert not again.training
    again.save_pretrained(tmp_path / "again")
    assert GPEN.from_pretrained(tmp_path / "again").card == again.card


def test_the_card_of_a_bare_file_is_read_from_the_config_beside_it(tmp_path: Path) -> None:
    GPEN(SMALL, CARD).save_pretrained(tmp_path)
    save_file(small_state(), tmp_path / "model.safetensors")
    assert GPEN.from_pretrained(tmp_path).card == CARD


def test_the_model_card_states_licence_ranges_and_limits(tmp_path: Path) -> None:
    card = replace(CARD, task="segmentation", value_range=(0.0, 1.0), template="ffhq", licence="CC-BY-4.0")
    GPEN(SMALL, card).save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    front = text.split("---")[1]
    assert "license: cc-by-4.0" in front
    assert "library_name: gpen" in front
    for expected in ("16 × 16 RGB in [0, 1]", "ffhq", "plausible, not evidence", '"figures"'):
        assert expected in text


@pytest.mark.parametrize("task", get_args(Task))
def test_the_model_card_shows_how_this_repository_is_used_for_its_task(tmp_path: Path, task: Task) -> None:
    GPEN(SMALL, replace(CARD, task=task)).save_pretrained(tmp_path, repo="me/mine")
    code = (tmp_path / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert 'load_model("me/mine")' in code
    compile(code, "README.md", "exec")
    first, _, *rest = code.splitlines()
    imported = first.removeprefix("from gpen_core import ").split(", ")
    assert set(imported) <= set(gpen_core.__all__)
    wanted = {"restoration": "FaceRestorer", "colorization": "colorize", "inpainting": "inpaint"}
    assert f"{wanted.get(task, 'synthesize_face')}(" in rest[-1]
    assert all(any(f"{name}(" in line for line in rest) for name in imported)


def test_a_loaded_model_trains(tmp_path: Path) -> None:
    model = load_model(write(tmp_path), prepare=False, device="cpu")
    model(torch.zeros(1, 3, 16, 16)).square().mean().backward()
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert same(checkpoint.read(tmp_path / "m.safetensors").state_dict(), small_state())


def test_weights_written_in_half_precision_are_half_the_size(tmp_path: Path) -> None:
    full = write(tmp_path)
    half = tmp_path / "half.safetensors"
    checkpoint.write(half, {name: tensor.half() for name, tensor in small_state().items()}, SMALL, CARD)
    assert half.stat().st_size < 0.65 * full.stat().st_size
    assert checkpoint.read(half).config == SMALL


def test_a_network_is_built_once_on_the_way_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    built: list[GPENConfig] = []
    original = Network.__init__

    def counted(self: Network, config: GPENConfig, *others: Any, **named: Any) -> None:
        built.append(config)
        original(self, config, *others, **named)

    monkeypatch.setattr(Network, "__init__", counted)
    model = load_model(path, device="cpu", precision="fp32")
    assert built == [SMALL]
    assert model.file == path


def test_a_model_knows_its_file_and_a_drawn_one_none(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(small_state(), path)
    for _ in range(2):  # converted, then from the cache
        assert load_model(path, prepare=False, device="cpu", task="restoration").file == path
    assert small_model().file is None


def test_a_file_of_weights_is_open_to_whom_the_folder_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_tensors(path, {"a": torch.zeros(3)}, {})
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    write_checkpoint(tmp_path / "checkpoint", {"a": torch.zeros(3)}, {})
    (part,) = (tmp_path / "checkpoint").glob("part-*")
    assert part.stat().st_mode == path.stat().st_mode


def test_weights_being_written_are_nobody_elses_to_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(source: Path, target: Path) -> None:
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [Path(source).name]
        rename(source, target)

    rename = os.replace
    monkeypatch.setattr("os.replace", replace)
    save_tensors(tmp_path / "model.safetensors", {"a": torch.zeros(3)}, {})
