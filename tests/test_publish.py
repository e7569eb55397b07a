"""What `gpen publish` tells the Hub of a model: its licence, its data, what it began from, and its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard as HubCard
from small_models import CARD, SMALL

from gpen_core.cli.main import main
from gpen_core.weights import GPEN

FIGURES = {
    "medium": {"psnr": 26.4, "ssim": 0.77, "input_psnr": 25.3},
    "severe": {"psnr": 22.9, "ssim": 0.67, "input_psnr": 21.5},
}


def written(folder: Path, details: dict) -> HubCard:
    """The card as the Hub's own library reads it."""
    GPEN(SMALL, replace(CARD, name="small", licence="Apache-2.0", details=details)).save_pretrained(folder)
    return HubCard.load(folder / "README.md")


def test_the_hub_reads_figures_data_and_base(tmp_path):
    details = {
        "figures": FIGURES,
        "judged_on": 'faces "never" seen: 134',
        "datasets": ["me/faces"],
        "base_model": "a/b",
    }
    card = written(tmp_path, details)
    assert (card.data.license, card.data.datasets, card.data.base_model) == ("apache-2.0", ["me/faces"], "a/b")
    results = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert results == {"psnr, medium": 26.4, "ssim, medium": 0.77, "psnr, severe": 22.9, "ssim, severe": 0.67}
    assert {result.dataset_name for result in card.data.eval_results} == {'faces "never" seen: 134'}
    assert "| medium | 26.4 | 0.77 |" in card.text


def test_a_trained_models_validation_is_its_figures(tmp_path):
    card = written(tmp_path, {"validation": {"psnr": 20.5, "input_psnr": 19.0}})
    assert [(one.metric_name, one.metric_value) for one in card.data.eval_results] == [("psnr, validation", 20.5)]


def test_a_card_without_figures_claims_none(tmp_path):
    card = written(tmp_path, {"figures": "see the paper", "datasets": "none"})
    assert card.data.eval_results is None
    assert card.data.datasets is None


def test_the_shell_adds_what_the_file_does_not_say(tmp_path, capsys):
    GPEN(SMALL, CARD).save_pretrained(tmp_path / "model")
    means = {"psnr": {"mean": 26.4}, "fid": {"mean": None}}
    (tmp_path / "summary.json").write_text(json.dumps({"sides": {"restored": {"pictures": 9, "figures": means}}}))
    words = ["publish", str(tmp_path / "model"), "me/small", "--folder", str(tmp_path / "out"), "--dataset", "me/faces"]
    assert main([*words, "--figures", str(tmp_path / "summary.json"), "--base-model", "you/base"]) == 0
    card = HubCard.load(tmp_path / "out" / "README.md")
    assert (card.data.datasets, card.data.base_model) == (["me/faces"], "you/base")
    assert [(one.metric_name, one.metric_value) for one in card.data.eval_results] == [("psnr, restored", 26.4)]
    assert GPEN.from_pretrained(tmp_path / "out").card.details["datasets"] == ["me/faces"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", "faces"], "faces is no name on the Hub; expected owner/name"),
        (["--figures", "none.json"], "none.json"),
        (["--judged-on", "faces"], "--judged-on says which faces --figures are of"),
    ],
)
def test_what_a_card_cannot_say_is_refused_in_one_line(words, said, tmp_path, capsys):
    GPEN(SMALL, CARD).save_pretrained(tmp_path / "model")
    assert main(["publish", str(tmp_path / "model"), "me/small", "--folder", str(tmp_path / "out"), *words]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_holds_no_figures_is_named(tmp_path, capsys):
    GPEN(SMALL, CARD).save_pretrained(tmp_path / "model")
    (tmp_path / "notes.json").write_text('{"sides": []}')
    words = ["--figures", str(tmp_path / "notes.json"), "--folder", str(tmp_path / "out")]
    assert main(["publish", str(tmp_path / "model"), "me/small", *words]) == 1
    assert "expected the summary.json of `gpen evaluate -o`" in capsys.readouterr().err
