"""Files that are not what was asked for: one clear line, an error of ours, nothing half-written."""

import contextlib
import os
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_models import CARD, SMALL, small_state

from gpen_core.architecture import Discriminator, build_prior, expected_shapes
from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError, DeviceError, GPENError, HubError, InputError, UnsafeFileError, WeightsError
from gpen_core.weights import checkpoint, load_detector, load_model, load_parser
from gpen_core.weights.cache import cache_folder
from gpen_core.weights.description import Header, encode, read_header
from gpen_core.weights.tensors import is_finite, read_tensors


def refusal(path: Path | str, kind: type[GPENError] = WeightsError) -> str:
    """The one line with which loading is refused."""
    with pytest.raises(kind) as caught:
        load_model(path, prepare=False, device="cpu", task="restoration")
    line = str(caught.value)
    assert "\n" not in line
    return line


class Runs:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save({"g_ema": small_state(), "note": Runs(tmp_path / "made")}, path)
    line = refusal(path, UnsafeFileError)
    assert "more than tensors" in line
    assert "mkdir" in line
    assert not (tmp_path / "made").exists()
    assert not (cache_folder() / "converted").exists()


@pytest.mark.parametrize("release", ["2.4.1", "2.5.0+cu124"])
def test_an_old_torch_opens_an_unknown_pickle_only_when_told_to(
    tmp_path: Path, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.pth"
    torch.save(small_state(), path)
    monkeypatch.setattr(torch, "__version__", release)
    assert "--trust-pickle" in refusal(path, UnsafeFileError)
    assert load_model(path, prepare=False, device="cpu", task="restoration", trust_pickle=True).config == SMALL


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    save_file(small_state(), path) if suffix == ".safetensors" else torch.save(small_state(), path)
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 100, 5):
        path.write_bytes(whole[:length])
        assert "get it again" in refusal(path)
        if suffix == ".safetensors":
            with pytest.raises(WeightsError, match="get it again"):
                read_header(path)


def test_an_old_pickle_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(small_state(), path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    # Cut in the middle of a name, it seems to ask for another class: refused all the same.
    for length in (len(whole) - 10, len(whole) // 2, 200, 10):
        path.write_bytes(whole[:length])
        assert refusal(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["zip", "old", "safetensors"])
def test_flipped_bytes_are_refused_or_read_but_never_end_in_a_foreign_error(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("m.safetensors" if form == "safetensors" else "m.pth")
    if form == "safetensors":
        save_file(small_state(), path)
    else:
        torch.save(small_state(), path, _use_new_zipfile_serialization=form == "zip")
    whole = path.read_bytes()
    dice = random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(3000)] = dice.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(WeightsError):
            read_tensors(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"\n <html>404</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"GIF89a and so on, which is no checkpoint", "get it again"),
        (os.urandom(4096), "get it again"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, content: bytes, expected: str, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    assert expected in refusal(path)


def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "nothing")
    assert "get it again" in refusal(path)


def test_other_kinds_of_file_are_refused_by_their_suffix(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(b"weights")
    assert ".safetensors, .pth" in refusal(path)
    assert "there is no file" in refusal(str(tmp_path / "absent.pth"))
    assert "model.safetensors" in refusal(tmp_path)


@pytest.mark.parametrize("held", [3, [1, 2], {"iteration": 3, "d": {"x": torch.zeros(1)}}, {}])
def test_a_pickle_without_a_state_dict_is_refused(tmp_path: Path, held: object) -> None:
    path = tmp_path / "m.pth"
    torch.save(held, path)
    assert "state dict" in refusal(path)


def thin(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.ones(1) for name in names}


OTHERS = {
    "a discriminator": Discriminator(SMALL).state_dict(),
    "a StyleGAN2 generator without an encoder": build_prior(SMALL).state_dict(),
    "a GFPGAN restorer": thin("stylegan_decoderdotto_rgbsdot0dotbias", "conv_body_first.weight", "final_linear.weight"),
    "a CodeFormer restorer": thin("encoder.blocks.0.weight", "quantize.embedding.weight", "ft_layers.0.self_attn.x"),
    "a RestoreFormer restorer": thin("encoder.conv_in.weight", "quantize.embedding.weight", "decoder.conv_in.weight"),
    "a super-resolution network (RRDBNet, as in Real-ESRGAN)": thin("conv_first.weight", "body.0.rdb1.conv1.weight"),
    "a StyleGAN2 or StyleGAN3 generator in NVIDIA's layout": thin("mapping.fc0.weight", "synthesis.b4.const"),
    "a RetinaFace detector": thin("body.stage1.0.0.weight", "fpn.output1.0.weight", "ssh1.conv3X3.0.weight"),
    "a ParseNet parser": thin("encoder.0.conv2d.weight", "out_mask_conv.conv2d.weight"),
    "an ArcFace recognition network": thin("input_layer.0.weight", "output_layer.0.weight"),
    "a GPEN encoder without its prior": {k: v for k, v in small_state().items() if not k.startswith("generator.")},
    "a GPEN file without its encoder": {k: v for k, v in small_state().items() if k.startswith("generator.")},
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("wrapper", [None, "g_ema", "params_ema", "state_dict"])
def test_another_network_is_refused_by_its_name(tmp_path: Path, name: str, wrapper: str | None) -> None:
    path = tmp_path / "m.pth"
    held = dict(OTHERS[name])
    torch.save(held if wrapper is None else {wrapper: held}, path)
    assert f"is {name}, not a GPEN network" in refusal(path)


def test_an_unknown_network_is_refused_with_a_sample_of_its_tensors(tmp_path: Path) -> None:
    save_file(thin("alpha.weight", "beta.weight"), tmp_path / "m.safetensors")
    assert "alpha.weight, beta.weight" in refusal(tmp_path / "m.safetensors")


def test_missing_unexpected_and_misshapen_tensors_are_listed(tmp_path: Path) -> None:
    tensors = small_state()
    del tensors["generator.style.1.bias"]
    tensors["generator.extra"] = torch.zeros(1)
    tensors["ecd1.0.2.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / "m.safetensors")
    line = refusal(tmp_path / "m.safetensors")
    assert "1 missing: generator.style.1.bias" in line
    assert "1 unexpected: generator.extra" in line
    assert "ecd1.0.2.bias [3] instead of [8]" in line


def test_shapes_that_fit_no_configuration_are_refused(tmp_path: Path) -> None:
    # An encoder of a larger face than the prior can draw.
    larger = expected_shapes(replace(SMALL, in_size=16))
    tensors = {name: torch.zeros(shape) for name, shape in larger.items()}
    tensors |= {"ecd3.0.1.weight": torch.zeros(8, 8, 3, 3), "ecd3.0.2.bias": torch.zeros(8)}
    save_file(tensors, tmp_path / "m.safetensors")
    assert "fits no configuration" in refusal(tmp_path / "m.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    tensors = small_state()
    tensors["ecd1.0.1.weight"][0, 0, 1, 1] = value
    for path in (tmp_path / "m.safetensors", tmp_path / "m.pth"):
        save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
        assert "ecd1.0.1.weight" in refusal(path)
    assert not (cache_folder() / "converted").exists()
    with pytest.raises(WeightsError, match="NaN or infinite"):
        checkpoint.write(tmp_path / "out.safetensors", tensors, SMALL, CARD)
    assert not (tmp_path / "out.safetensors").exists()


def test_finite_weights_whose_sum_overflows_are_accepted() -> None:
    assert is_finite(torch.full((8,), 3e38))
    assert not is_finite(torch.tensor([float("inf"), float("-inf")]))


def test_integer_weights_are_refused(tmp_path: Path) -> None:
    save_file({name: tensor.to(torch.int32) for name, tensor in small_state().items()}, tmp_path / "m.safetensors")
    assert "float tensors" in refusal(tmp_path / "m.safetensors")


def test_another_blur_kernel_is_refused(tmp_path: Path) -> None:
    tensors = small_state()
    tensors["ecd1.0.0.kernel"] = torch.full((4, 4), 1 / 16)
    save_file(tensors, tmp_path / "m.safetensors")
    assert "blur kernel ecd1.0.0.kernel" in refusal(tmp_path / "m.safetensors")


def test_a_header_that_contradicts_the_tensors_is_refused(tmp_path: Path) -> None:
    other = GPENConfig.standard(16, narrow=1 / 32, style_dim=16, n_mlp=2)
    save_file(small_state(), tmp_path / "m.safetensors", metadata=encode(Header(other, CARD)))
    line = refusal(tmp_path / "m.safetensors")
    assert "contradicts its tensors: channels" in line


@pytest.mark.parametrize(
    "metadata",
    [
        {"gpen.config": "{"},
        {"gpen.config": "[]"},
        {"gpen.config": '{"in_size": 16}'},
        {"gpen.card": '{"task": "cooking"}'},
        {"gpen.card": '{"unheard_of": 1}'},
        {"gpen.layout": "99"},
    ],
)
def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file(small_state(), tmp_path / "m.safetensors", metadata=metadata)
    assert "m.safetensors" in refusal(tmp_path / "m.safetensors")


def test_a_task_against_the_header_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "m.safetensors", small_state(), SMALL, replace(CARD, task="inpainting"))
    assert "gpen convert --task" in refusal(tmp_path / "m.safetensors")


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    save_file(small_state(), tmp_path / "m.safetensors")
    with pytest.raises(ConfigError, match="restoration, colorization"):
        load_model(tmp_path / "m.safetensors", prepare=False, task="cooking")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("GPEN-BFR-521", "did you mean GPEN-BFR-512?"),
        ("gpen-bfr512", "did you mean GPEN-BFR-512?"),
        ("retinaface", "did you mean RetinaFace-R50?"),
        ("zzzz", "`gpen models` lists the names"),
        ("folder/absent.safetensors", "there is no file folder/absent.safetensors"),
        ("./absent", "there is no file ./absent"),
        ("", "`gpen models`"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(asked: str, expected: str) -> None:
    with pytest.raises(WeightsError) as caught:
        load_model(asked, prepare=False)
    assert expected.replace("RetinaFace-R50", "retinaface-resnet50") in str(caught.value)


def test_a_file_that_is_not_in_a_folder_that_is_there_is_asked_of_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr("gpen_core.weights.location.fetch_repository_file", lambda *asked, **how: pytest.fail("asked"))
    with pytest.raises(WeightsError, match=r"there is no file runs/mine/model\.safetensors"):
        load_model("runs/mine/model.safetensors")


def test_a_name_of_a_network_that_is_no_restorer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file(OTHERS["a RetinaFace detector"], path)
    with pytest.raises(WeightsError, match="is no ParseNet parser, nor BiSeNet"):
        load_parser(path)
    save_file(OTHERS["a ParseNet parser"], path)
    with pytest.raises(WeightsError, match="is no RetinaFace detector"):
        load_detector(path)


def test_a_model_that_ships_but_is_not_in_this_copy_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gpen_core.weights import entry

    monkeypatch.setattr(entry, "BUNDLED", tmp_path)
    with pytest.raises(HubError, match="reinstall gpen"):
        load_model()
    with pytest.raises(WeightsError, match="gpen models fetch retinaface-resnet50"):
        load_detector()


@pytest.mark.parametrize("device", ["warp", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_at_hand_is_refused(tmp_path: Path, device: str) -> None:
    checkpoint.write(tmp_path / "m.safetensors", small_state(), SMALL, CARD)
    with pytest.raises(DeviceError):
        load_model(tmp_path / "m.safetensors", device=device)


def test_canonical_parameters_come_in_float32_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bf16"):
        load_model(tmp_path, prepare=False, precision="bf16")
