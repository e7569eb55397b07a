"""Files of weights that are exchanged, cut, killed or linked while they are in use: none outlives its reading."""

import os
import shutil
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_models import CARD, SMALL, pickled, small_state

from gpen_core.weights import GPEN, checkpoint, load_detector, load_model, zoo
from gpen_core.weights.cache import cache_folder, converted_path, sha256_of
from gpen_core.weights.checkpoint import read_state_dict
from gpen_core.weights.entry import BUNDLED
from gpen_core.weights.location import Located

DETECTOR = BUNDLED / "gpen-open-detector.safetensors"


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
    path = pickled(tmp_path / "m.pth", small_state())
    GPEN.from_file(Located(path), task="restoration")
    converted = converted_path(sha256_of(path))
    converted.write_bytes(converted.read_bytes()[:100])
    found = GPEN.from_file(Located(path), task="restoration").state_dict()
    assert torch.equal(found["ecd0.0.0.weight"], small_state()["ecd0.0.0.weight"])
    converted.write_bytes(b"x" * 100)
    assert read_state_dict(Located(path)).keys() == small_state().keys()


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
        save_file(small_state(), path)
        tensors = read_state_dict(Located(path))

        def run() -> torch.Tensor:
            return tensors["ecd0.0.0.weight"] * 1
    else:
        torch.save(small_state(), path) if kind == "pickle" else checkpoint.write(path, small_state(), SMALL, CARD)
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
    source, target = pickled(tmp_path / "m.pth", small_state()), tmp_path / "out" / "m.safetensors"
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
    checkpoint.write(target, small_state(), SMALL, CARD)
    assert victim.read_text() == "mine"
    assert not target.is_symlink()


def test_the_zoo_knows_no_file_by_less_than_its_content(tmp_path: Path) -> None:
    entry = zoo.find("GPEN-BFR-512")
    path = tmp_path / "GPEN-BFR-512.pth"
    path.write_bytes(b"x")
    os.truncate(path, entry.size or 1)
    assert zoo.with_hash(sha256_of(path)) is None


def test_an_ordered_dict_is_a_state_dict_too(tmp_path: Path) -> None:
    path = pickled(tmp_path / "m.pth", OrderedDict(small_state()))
    assert GPEN.from_file(Located(path), task="restoration").config == SMALL
