"""Damaged and hostile files of weights: one line in a moment, whatever they hold; and no file outlives its reading."""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_models import CARD, SMALL, small_model

from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError, GPENError, HubError, WeightsError
from gpen_core.weights import GPEN, checkpoint, hub, load_detector, load_model, load_parser, zoo
from gpen_core.weights.cache import cache_folder, converted_path, sha256_of
from gpen_core.weights.checkpoint import read_state_dict
from gpen_core.weights.entry import BUNDLED
from gpen_core.weights.hub import Located

DETECTOR = BUNDLED / "gpen-open-detector.safetensors"


def state() -> dict[str, torch.Tensor]:
    return dict(small_model().state_dict())


def with_weight(change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
    tensors = state()
    tensors["generator.style.1.weight"] = change(tensors["generator.style.1.weight"])
    return tensors


def refusal(path: Path) -> str:
    """The one line that each of the three loaders gives, in a moment."""
    start = time.monotonic()
    for load in (load_model, load_detector, load_parser):
        with pytest.raises(WeightsError) as caught:
            load(path, device="cpu")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000
    assert time.monotonic() - start < 5
    return str(caught.value)


def pickled(path: Path, held: object) -> Path:
    torch.save(held, path)
    return path


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
    pickled(tmp_path / "good.pth", state())
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
    torch.save(state(), path) if suffix == ".pth" else save_file(state(), path)
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
    monkeypatch.setattr(hub, "_from_hub", lambda place: pytest.fail(f"{place} was asked for"))
    with pytest.raises(GPENError) as caught:
        hub.locate(source)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("revision", ["../../x", "/x", "a\0b", ".."])
def test_a_revision_that_leads_elsewhere_is_refused(revision: str) -> None:
    with pytest.raises(HubError, match="no revision"):
        hub.fetch_repository_file("me/model", "x.pth", revision=revision)


def test_a_server_that_lists_names_outside_its_repository_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "repository_files", lambda repo, revision=None: ["../../evil.pth"])
    with pytest.raises(HubError, match="no file of a repository"):
        hub.fetch_repository_file("me/model")


def test_another_file_of_the_same_size_and_time_has_its_own_hash(tmp_path: Path) -> None:
    """As archives and `cp -p` make them: checkpoints of one architecture are equal in size."""
    path, other = tmp_path / "m.bin", tmp_path / "other.bin"
    path.write_bytes(b"one")
    long_ago = 1_600_000_000_000_000_000
    os.utime(path, ns=(long_ago, long_ago))
    other.write_bytes(b"two")
    os.utime(other, ns=(long_ago, long_ago))
    first = sha256_of(path)
    shutil.copy2(other, path)
    assert sha256_of(path) == sha256_of(other) != first
    path.write_bytes(b"one")
    os.utime(path, ns=(long_ago, long_ago))
    os.replace(other, path)
    assert sha256_of(path) != first


def test_a_hash_is_remembered_only_of_a_file_that_has_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(b"one")
    sha256_of(path)
    assert not list((cache_folder() / "hashes").glob("*.json"))
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    sha256_of(path)
    assert len(list((cache_folder() / "hashes").glob("*.json"))) == 1


def test_a_conversion_that_was_damaged_since_is_made_anew(tmp_path: Path) -> None:
    path = pickled(tmp_path / "m.pth", state())
    GPEN.from_file(Located(path), task="restoration")
    converted = converted_path(sha256_of(path))
    converted.write_bytes(converted.read_bytes()[:100])
    found = GPEN.from_file(Located(path), task="restoration").state_dict()
    assert torch.equal(found["ecd0.0.0.weight"], state()["ecd0.0.0.weight"])
    converted.write_bytes(b"x" * 100)
    assert read_state_dict(Located(path)).keys() == state().keys()


def mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is mapped")
@pytest.mark.parametrize("kind", ["model", "canonical", "pickle", "detector", "raw"])
def test_no_file_stays_mapped_and_one_overwritten_in_place_does_no_harm(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("m.pth" if kind == "pickle" else "m.safetensors")
    run: Callable[[], torch.Tensor]
    face = torch.linspace(-1, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    if kind == "detector":
        shutil.copy(DETECTOR, path)
        detector = load_detector(path, device="cpu")

        def run() -> torch.Tensor:
            return torch.cat([value.flatten() for value in detector.network.state_dict().values()])
    elif kind == "raw":
        save_file(state(), path)
        tensors = read_state_dict(Located(path))

        def run() -> torch.Tensor:
            return tensors["ecd0.0.0.weight"] * 1
    else:
        torch.save(state(), path) if kind == "pickle" else checkpoint.write(path, state(), SMALL, CARD)
        model = load_model(path, device="cpu", precision="fp32", prepare=kind != "canonical", task=CARD.task)

        def run() -> torch.Tensor:
            with torch.no_grad():
                result: torch.Tensor = model(face)
                return result

    before = run().clone()
    assert not mapped(path)
    assert not mapped(cache_folder())
    with path.open("r+b") as file:
        file.truncate(16)
    assert torch.equal(run(), before)


KILLED = """
import os, sys
from gpen_core.cli.main import main
count = 0
def end(event, arguments):
    global count
    if event == "open" and str(arguments[0]).endswith(".part") or event == "os.rename":
        count += 1
        if count == int(sys.argv[1]):
            os._exit(9)
sys.addaudithook(end)
sys.exit(main(["convert", sys.argv[2], sys.argv[3]]))
"""


@pytest.mark.slow
def test_a_killed_conversion_leaves_nothing_behind_the_next(tmp_path: Path) -> None:
    source, target = pickled(tmp_path / "m.pth", state()), tmp_path / "out" / "m.safetensors"
    home = tmp_path / "home"
    environment = {**os.environ, "HF_HOME": str(home), "PYTHONWARNINGS": "ignore"}

    def convert(moment: int) -> int:
        words = [sys.executable, "-c", KILLED, str(moment), str(source), str(target)]
        return subprocess.run(words, env=environment, capture_output=True, check=False).returncode

    def left() -> list[str]:
        return [path.name for path in tmp_path.rglob("*.part")]

    moments = 0
    while convert(moments + 1) == 9:
        moments += 1
    assert moments >= 4  # a temporary file opened, renamed: twice
    assert target.is_file()
    assert left() == []


def test_a_planted_link_is_not_followed_when_weights_are_written(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    target = tmp_path / "m.safetensors"
    for name in (".m.safetensors.part", "m.safetensors.part"):
        (tmp_path / name).symlink_to(victim)
    checkpoint.write(target, state(), SMALL, CARD)
    assert victim.read_text() == "mine"
    assert not target.is_symlink()


def test_the_zoo_knows_no_file_by_less_than_its_content(tmp_path: Path) -> None:
    entry = zoo.find("GPEN-BFR-512")
    path = tmp_path / "GPEN-BFR-512.pth"
    path.write_bytes(b"x")
    os.truncate(path, entry.size or 1)
    assert zoo.with_hash(sha256_of(path)) is None


def test_an_ordered_dict_is_a_state_dict_too(tmp_path: Path) -> None:
    path = pickled(tmp_path / "m.pth", OrderedDict(state()))
    assert GPEN.from_file(Located(path), task="restoration").config == SMALL
