"""Damaged and hostile files of weights: one line in a moment, whatever they hold; and no file outlives its reading."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_hub import FakeHub
from safetensors import safe_open
from safetensors.torch import save_file
from small_models import SMALL, pickled, small_state

from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError, GPENError, HubError, WeightsError
from gpen_core.weights import GPEN, hub, load_detector, load_model, load_parser, location
from gpen_core.weights.cache import converted_path, sha256_of
from gpen_core.weights.location import Located


def with_weight(change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
    tensors = small_state()
    tensors["generator.style.1.weight"] = change(tensors["generator.style.1.weight"])
    return tensors


def refusal(path: Path) -> str:
    """The one line that each of the three loaders gives, in a moment."""
    start = time.process_time()
    for load in (load_model, load_detector, load_parser):
        with pytest.raises(WeightsError) as caught:
            load(path, device="cpu")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000
    assert time.process_time() - start < 30
    return str(caught.value)


STRANGE = {
    "a view that repeats one value": lambda w: torch.zeros(1).expand(1 << 20, 1 << 20),
    "a sparse one": lambda w: w.to_sparse(),
    "one without values": lambda w: w.to("meta"),
    "one of eight bits": lambda w: w.to(torch.float8_e4m3fn),
    "a complex one": lambda w: w.to(torch.complex64),
    "a quantized one": lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore")  # torch's own, of kinds that it wants to give up
@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "old"])
def test_tensors_that_are_no_weights_are_refused_before_a_value_is_looked_at(
    tmp_path: Path, name: str, new: bool
) -> None:
    path = tmp_path / "m.pth"
    torch.save(with_weight(STRANGE[name]), path, _use_new_zipfile_serialization=new)
    assert any(reason in refusal(path) for reason in ("no plain tensor", "claim", "damaged"))


def test_a_file_that_wraps_itself_is_refused(tmp_path: Path) -> None:
    held: dict[str, Any] = {}
    held["state_dict"] = held
    assert "no state dict" in refusal(pickled(tmp_path / "m.pth", held))


def test_tensors_with_strange_names_are_refused_in_one_line(tmp_path: Path) -> None:
    for number, name in enumerate(("a\nb", "a\x1b[31m", "\ud800", "__metadata__")):
        assert "name is no text" in refusal(pickled(tmp_path / f"{number}.pth", {name: torch.zeros(1)}))
    assert "state dict" in refusal(pickled(tmp_path / "m.pth", {1: torch.zeros(1), ("a", 2): torch.zeros(1)}))


def test_a_name_of_a_megabyte_is_quoted_in_part(tmp_path: Path) -> None:
    refusal(pickled(tmp_path / "m.pth", {"n" * 1_000_000: torch.zeros(1)}))
    refusal(pickled(tmp_path / "w.pth", {"n" * 1_000_000: 3}))
    refusal(pickled(tmp_path / "nan.pth", {"n" * 3000: torch.full((1,), float("nan"))}))


def test_tensors_that_share_memory_or_lie_across_it_are_read(tmp_path: Path) -> None:
    tensors = with_weight(lambda w: w.T.contiguous().T)
    tensors["generator.style.2.bias"] = tensors["generator.style.1.bias"]
    found = GPEN.from_file(Located(pickled(tmp_path / "m.pth", tensors)), task="restoration").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    with safe_open(converted_path(sha256_of(tmp_path / "m.pth")), framework="pt") as file:
        assert set(file.keys()) == set(tensors)


def test_a_zip_that_torch_did_not_write_so_is_refused(tmp_path: Path) -> None:
    pickled(tmp_path / "good.pth", small_state())
    with (
        zipfile.ZipFile(tmp_path / "good.pth") as good,
        zipfile.ZipFile(tmp_path / "m.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for record in good.namelist():
            packed.writestr(record, good.read(record))
    assert "compressed archive" in refusal(tmp_path / "m.pth")


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, cut: float, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    torch.save(small_state(), path) if suffix == ".pth" else save_file(small_state(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    assert "get it again" in refusal(path)


CONFIG = SMALL.to_dict()
WRONG_CONFIGS = [
    {**CONFIG, "in_size": True},
    {**CONFIG, "in_size": "16"},
    {**CONFIG, "in_size": 10**400},
    {**CONFIG, "channels": {"4": float("inf"), "8": 4, "16": 4}},
    {**CONFIG, "channels": {"4": 4.5, "8": 4, "16": 4}},
    {**CONFIG, "channels": {"4": 10**30, "8": 4, "16": 4}},
    {**CONFIG, "channels": [[4, 4]]},
    {**CONFIG, "channels": None},
    {**CONFIG, "style_dim": None},
    {**CONFIG, "style_dim": 1e9},
    {**CONFIG, "n_mlp": None},
    {**CONFIG, "concat": "yes"},
    {**CONFIG, "prior": ["stylegan2"]},
    {**CONFIG, "prior": "x" * 100_000},
    {**CONFIG, "lr_mlp": 10**30},
    {**CONFIG, "lr_mlp": float("nan")},
    {**CONFIG, "options": {"n_mlp": 2}},
    {**CONFIG, "self": 1},
    {**CONFIG, "x" * 100_000: 1},
    {1: 2},
    None,
    [],
]
WRONG_CARDS = [
    {"value_range": [-1.0, 1e308]},
    {"value_range": "12"},
    {"value_range": [1, 2, 3]},
    {"value_range": [None, 1]},
    {"noise_seed": [1, 2, 3]},
    {"noise_seed": -(2**70)},
    {"noise_seed": 1.5},
    {"sharpen": float("nan")},
    {"sharpen": 10**400},
    {"name": 3.5},
    {"licence": None},
    {"origin": ["here"]},
    {"details": [1, 2, 3]},
    {"task": {}},
    {"template": []},
    [],
    3,
]


@pytest.mark.parametrize("values", WRONG_CONFIGS, ids=lambda v: str(v)[-40:])
def test_a_configuration_of_wrong_types_or_sizes_is_refused_in_words(values: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        GPENConfig.from_dict(values)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("values", WRONG_CARDS, ids=lambda v: str(v)[-40:])
def test_a_card_of_wrong_types_or_sizes_is_refused_in_words(values: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelCard.from_dict(values)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["[" * 100_000, '{"details": ' + "[" * 300 + "]" * 300 + "}", "9" * 10_000, "\ud800"])
def test_a_header_that_is_nested_or_long_beyond_sense_is_refused(tmp_path: Path, text: str) -> None:
    from gpen_core.weights.description import decode

    for key in ("gpen.card", "gpen.config"):
        with pytest.raises(WeightsError):
            decode({key: text}, "m.safetensors")


@pytest.mark.parametrize(
    "source",
    [
        "../../etc/passwd/x",
        "me/model/../../../x.pth",
        "me/model//x.pth",
        "../x",
        "me/..",
        "a\0b",
        "me/model/a\0b.pth",
        "~nobody-of-this-name/x",
        "x" * 5000,
        "me/" + "x" * 5000,
        "me/model/C:\\x.pth",
        "owner/name\n",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_asked(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("socket.create_connection", lambda server, timeout=None: asked.append(server))
    with pytest.raises(GPENError) as caught:
        location.locate(source)
    assert str(caught.value).isprintable()
    assert asked == []


@pytest.mark.parametrize("revision", ["../../x", "/x", "a\0b", ".."])
def test_a_revision_that_leads_elsewhere_is_refused(revision: str) -> None:
    with pytest.raises(HubError, match="no revision"):
        hub.fetch_repository_file("me/model", "x.pth", revision=revision)


def test_a_server_that_lists_names_outside_its_repository_is_not_followed(served: FakeHub) -> None:
    served.files["me/model"] = {"../../evil.pth": b"x"}
    with pytest.raises(HubError, match="no file of a repository"):
        hub.fetch_repository_file("me/model")
