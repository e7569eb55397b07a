"""The command: its verbs, its messages, its exit statuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_models import CARD, SMALL, small_model

from gpen_core import __version__
from gpen_core.cli import main as command
from gpen_core.cli import train as cli_train
from gpen_core.cli.main import main
from gpen_core.weights import checkpoint, entry

ROOT = Path(__file__).parent.parent
OURS = ["models", "info", "convert", "publish", "doctor"]


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    checkpoint.write(path, dict(small_model().state_dict()), SMALL, CARD)
    return path


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_the_help_lists_the_verbs_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in OURS:
        assert f"\n  {verb} " in out
    assert main([]) == 2


def test_the_help_needs_neither_torch_nor_any_verb() -> None:
    code = "import sys; from gpen_core.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("given", "found"), [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_waiting_cores_sleep_soon_unless_the_environment_says_how_they_wait(given: dict[str, str], found: str) -> None:
    code = "import os, gpen_core.cli.main as m; m.main(['--version']); print(os.environ.get('GOMP_SPINCOUNT'))"
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment |= {"PYTHONPATH": str(ROOT), **given}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split()[-1] == found


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gpen {__version__}\n"


@pytest.mark.parametrize("verb", command.available())
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"example:\n  gpen {verb}" in out


def test_an_unknown_verb_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["modles"]) == 2
    assert one_line(capsys.readouterr().err).endswith("did you mean models?")


def test_wrong_arguments_end_with_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 2
    assert "required: FILE" in capsys.readouterr().err


def test_a_mistake_is_one_line_and_status_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["info", str(tmp_path / "absent.pth")], ["info", "GPEN-BFR-521"], ["models", "fetch", "nothing"]):
        assert main(words) == 1
        assert one_line(capsys.readouterr().err).startswith(f"gpen {words[0]}: there is no file")


def test_an_interrupt_ends_with_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from gpen_core.cli import models

    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "run", interrupted)
    assert main(["models"]) == 130
    assert one_line(capsys.readouterr().err) == "gpen models: interrupted"


def test_a_reader_that_has_enough_is_no_failure(cache: Path) -> None:
    code = "import sys; from gpen_core.cli.main import main; sys.exit(main(['models', '--json']))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(cache)}
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_models_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["name", "for", "pixels", "size", "hash", "licence", "fetched"]
    assert any(line.startswith("GPEN-BFR-512 ") and "non-commercial, unsettled" in line for line in table)
    assert main(["models", "--json", "GPEN-Seg2face-512"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["task"], row["value_range"], row["parameters"]) == ("segmentation", [0.0, 1.0], 71_005_223)


def test_the_model_that_ships_is_listed_by_its_own_header(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json", "gpen-open-256"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["size_px"], row["task"], row["template"]) == (256, "restoration", "ffhq")


def test_second_hand_places_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "--json", "GPEN-BFR-512"])
    (row,) = json.loads(capsys.readouterr().out)
    assert "vinthony/videoretalking/GPEN-BFR-512.pth (second-hand)" in row["places"]


def test_a_model_that_ships_is_fetched_from_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model_file: Path
) -> None:
    monkeypatch.setattr(entry, "BUNDLED", tmp_path)
    model_file.rename(tmp_path / "gpen-open-256.safetensors")
    assert main(["models", "fetch", "gpen-open-256"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "gpen-open-256.safetensors")


def test_info_tells_network_card_and_hash(model_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model_file), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["config"] == SMALL.to_dict()
    assert facts["card"]["name"] == "small"
    assert facts["parameters"] == sum(p.numel() for p in small_model().parameters())
    assert facts["card"]["details"]["sha256"] == facts["tensors_sha256"]
    assert main(["info", str(model_file)]) == 0
    assert "16 → 16 px" in capsys.readouterr().out


def test_info_says_when_tensors_are_not_the_ones_the_header_names(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors import safe_open

    with safe_open(model_file, framework="pt") as file:
        metadata = file.metadata()
    save_file(dict(small_model(seed=1).state_dict()), model_file, metadata=metadata)
    assert main(["info", str(model_file)]) == 0
    assert "but its header says" in capsys.readouterr().out


def test_info_finds_nothing_wrong_with_a_file_in_half_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = {name: tensor.half() for name, tensor in small_model().state_dict().items()}
    checkpoint.write(tmp_path / "half.safetensors", half, SMALL, CARD)
    assert main(["info", str(tmp_path / "half.safetensors")]) == 0
    assert "but its header says" not in capsys.readouterr().out


def test_convert_makes_a_file_that_describes_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "old.pth", tmp_path / "new.safetensors"
    torch.save({"g_ema": small_model().state_dict()}, source)
    words = ["convert", str(source), str(target), "--task", "inpainting", "--name", "mine", "--licence", "MIT"]
    assert main([*words, "--template", "ffhq"]) == 0
    found = checkpoint.read(target)
    assert (found.card.task, found.card.name, found.card.licence) == ("inpainting", "mine", "MIT")
    assert found.card.template == "ffhq"
    assert main(words) == 1
    assert "--overwrite" in one_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert main(["convert", str(source), "-o", str(tmp_path / "same.safetensors"), *words[3:]]) == 0
    assert main(["convert", str(source), "--task", "inpainting"]) == 1
    assert "name the file to write once" in one_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert main([*words, "-o", str(target)]) == 1
    assert main([*words, "--overwrite", "--half"]) == 0
    assert torch.equal(
        checkpoint.read(target).state_dict()["ecd0.0.0.weight"], small_model().state_dict()["ecd0.0.0.weight"].half()
    )


def test_convert_refuses_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "gfpgan.pth"
    torch.save({"params_ema": {"stylegan_decoder.x": torch.ones(1), "conv_body_first.weight": torch.ones(1)}}, source)
    assert main(["convert", str(source), str(tmp_path / "out.safetensors")]) == 1
    assert "is a GFPGAN restorer" in one_line(capsys.readouterr().err)
    assert main(["convert", str(source), str(tmp_path / "out.pth")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["gfpgan.pth"]


def test_publish_can_write_to_a_folder_instead(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(model_file), "me/small", "--folder", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_doctor_tells_versions_devices_and_caches(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    findings = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert findings["torch"]["value"] == torch.__version__.split("+")[0] or findings["torch"]["state"] == "ok"
    for what in ("python", "cpu", "torchvision operators", "OpenCV", "Hub cache", "gpen cache", "av"):
        assert what in findings
    assert str(cache) in findings["gpen cache"]["value"]
    for row in findings.values():
        assert row["state"] == "ok" or row["remedy"]


def test_doctor_names_the_remedy_of_what_does_not_load() -> None:
    from gpen_core.cli.doctor import _extra, _works

    def fails() -> None:
        raise ImportError("libGL.so.1: cannot open shared object file")

    broken = _works("cv2", "OpenCV", fails, "pip install opencv-python-headless")
    assert (broken.state, broken.value) == ("broken", "libGL.so.1: cannot open shared object file")
    missing = _extra("no_such_module", "films", "video")
    assert (missing.state, missing.remedy) == ("missing", "pip install 'gpen[video]'")


def test_an_interrupt_that_a_launcher_passes_on_is_the_same_one_and_a_later_one_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(cli_train.time, "monotonic", lambda: clock[0])
    stop = cli_train.Stop()
    assert not stop.asked
    stop(signal.SIGINT, None)
    clock[0] += 0.2
    stop(signal.SIGINT, None)
    assert stop.asked
    clock[0] += 3
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_training_that_was_stopped_says_that_it_goes_on(
    stopped: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_train, "train_visibly", lambda *_, **__: ({}, stopped))
    assert main(["train", "finetune-256", "--data", "faces", "--out", "run"]) == 0
    said = "written to run; stopped, the same command goes on from there" if stopped else "written to run"
    assert capsys.readouterr().out.splitlines()[-1] == said


@pytest.mark.parametrize("verb", ["convert", "publish", "export", "personal", "verify"])
def test_a_name_of_two_networks_is_refused_where_one_is_needed(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {
        "convert": ["gpen-open", "a.safetensors"],
        "publish": ["gpen-open", "me/mine", "--folder", "a"],
        "export": ["gpen-open", "-o", "a.onnx"],
        "personal": [".", "-o", "a", "--model", "gpen-open"],
        "verify": ["gpen-open"],
    }[verb]
    words = [str(tmp_path / word) if word.startswith("a") else word for word in said]
    assert main([verb, *words]) == 1
    told = "gpen-open is two networks, gpen-open-256 and gpen-open-512; name one of them"
    assert one_line(capsys.readouterr().err) == f"gpen {verb}: {told}"
    assert not list(tmp_path.iterdir())


def test_both_networks_of_a_name_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "gpen-open"]) == 0
    assert "gpen-open takes gpen-open-512 for larger faces" in capsys.readouterr().out
    assert main(["info", "gpen-open"]) == 0
    assert "gpen-open-512 for larger faces" in capsys.readouterr().out
    assert main(["info", "gpen-open", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["larger"] == "gpen-open-512"
    assert main(["models", "fetch", "gpen-open"]) == 0
    assert [Path(line).stem for line in capsys.readouterr().out.split()] == ["gpen-open-256", "gpen-open-512"]
    main(["doctor", "--json"])
    findings = {row["what"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert findings["gpen-open"].endswith("and gpen-open-512 for larger faces")
