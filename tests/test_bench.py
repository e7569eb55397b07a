"""Measurements: what is measured, what is not, and what is printed."""

import json
import sys

import pytest
import torch
from small_models import small_model

from gpen_core import bench
from gpen_core.bench import BenchOptions, interleaved, measure, official
from gpen_core.cli.main import main
from gpen_core.errors import ConfigError, MissingPackageError

QUICK = {"runs": 1, "memory": False}


def test_the_official_networks_are_half_as_wide_at_256() -> None:
    assert official(256).channels[256] == 32
    assert official(512).channels[512] == 64
    assert official(1024).channels[1024] == 32


def test_each_form_and_precision_gets_a_row_and_its_ratio_to_plain() -> None:
    rows = list(measure(BenchOptions(batches=(1, 3), **QUICK), small_model()))
    assert {(row.batch, row.form, row.precision) for row in rows} == {
        (batch, form, precision)
        for batch in (1, 3)
        for form, precision in (("plain", "fp32"), ("prepared", "fp32"), ("prepared", "bf16"))
    }
    for row in rows:
        assert row.size == 16
        assert row.faces_per_second == pytest.approx(1 / row.seconds_per_face)
        assert row.ratio is not None
        assert row.ratio > 0
    assert next(row for row in rows if row.form == "plain").ratio == 1


def test_calls_take_turns_after_a_round_of_warming_up() -> None:
    order: list[str] = []
    calls = {(name, "fp32"): (lambda name=name: order.append(name)) for name in "ab"}
    seconds = interleaved(calls, 2, torch.device("cpu"))
    assert order == ["a", "b"] * 3
    assert set(seconds) == set(calls)


def test_peak_memory_is_that_of_a_process_of_its_own() -> None:
    config = small_model().config
    peak = bench.peak_memory(config, "prepared", "fp32", 1, torch.device("cpu"))
    assert peak is None or 0 < peak < 300e6


def test_a_peer_that_is_not_installed_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"install gpen\[onnx\]"):
        list(measure(BenchOptions(peers=("onnxruntime",), **QUICK), small_model()))


@pytest.mark.slow
def test_onnxruntime_runs_beside_where_it_is_installed() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    rows = list(measure(BenchOptions(peers=("onnxruntime",), precisions=("fp32",), **QUICK), small_model()))
    assert [row for row in rows if row.form == "onnxruntime"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precisions": ("int8",)}, "precisions has 'int8'"),
        ({"forms": ("fast",)}, "forms has 'fast'"),
        ({"peers": ("other",)}, "peers has 'other'"),
        ({"runs": 0}, "runs is 0"),
        ({"batches": (0,)}, "at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        BenchOptions(**options)


def test_the_command_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["bench", "--size", "8", "--precision", "fp32", "--runs", "1", "--no-memory", "--device", "cpu"]
    assert main(quick) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:4] == ["size", "batch", "form", "precision"]
    assert len(printed) == 3
    assert main([*quick, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["form"] for row in found["rows"]} == {"plain", "prepared"}


def test_a_wrong_form_is_one_line_and_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--form", "magic"]) == 1
    assert "forms has 'magic'" in capsys.readouterr().err
