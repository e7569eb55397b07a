"""Folders judged: what pairs, what is refused, what is kept, and what is said of it."""

import csv
import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from gpen_core.cli.main import main
from gpen_core.errors import InputError, PictureError
from gpen_core.measures.evaluation import Folders, evaluate
from gpen_core.measures.metrics import FIGURES, psnr
from gpen_core.measures.significance import interval, paired


def picture(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def noisy(levels: np.ndarray, seed: int = 99, amount: int = 30) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-amount, amount + 1, levels.shape)
    return (levels.astype(int) + noise).clip(0, 255).astype(np.uint8)


def save(folder, pictures) -> None:
    folder.mkdir(exist_ok=True)
    for name, levels in pictures.items():
        Image.fromarray(levels).save(folder / name)


@pytest.fixture
def folders(tmp_path):
    """Originals, damaged ones, and results that lie between."""
    clean = {f"{index}.png": picture(index) for index in range(5)}
    save(tmp_path / "clean", clean)
    save(tmp_path / "damaged", {name: noisy(levels) for name, levels in clean.items()})
    save(tmp_path / "restored", {name: noisy(levels, amount=6) for name, levels in clean.items()})
    return tmp_path


def test_gpen_evaluate_pairs_by_stem_and_reports_what_is_missing(folders, capsys):
    (folders / "restored" / "4.png").unlink()
    names = [str(folders / name) for name in ("restored", "clean")]
    status = main(["evaluate", *names, "--degraded", str(folders / "damaged"), "--json", str(folders / "f.json")])
    shown = capsys.readouterr().out
    assert status == 1
    assert f"missing in {folders / 'restored'}: 1, for instance 4" in shown
    report = json.loads((folders / "f.json").read_text())
    wanted = [picture(0), noisy(picture(0))]
    planes = [torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in wanted]
    assert report["degraded"]["pictures"]["0"]["psnr"] == pytest.approx(float(psnr(planes[1], planes[0])), abs=1e-6)
    share = report["restored"]["means"]["perceptual"] / report["degraded"]["means"]["perceptual"]
    assert f"perceptual distance: {share:.3f} of the degraded's" in shown


def test_the_tables_and_the_page_hold_every_picture(folders):
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    out = folders / "judged"
    names = [str(folders / name) for name in ("restored", "clean")]
    wanted = ["--degraded", str(folders / "damaged"), "--against", str(folders / "damaged")]
    assert main(["evaluate", *names, *wanted, "--metric", "ssim_basicsr", "-o", str(out), "--parquet"]) == 0
    with (out / "figures.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 15
    assert pyarrow.parquet.read_table(out / "figures.parquet").num_rows == 15
    summary = json.loads((out / "summary.json").read_text())
    held = summary["sides"]["restored"]["figures"]["psnr"]
    values = [float(row["psnr"]) for row in table if row["side"] == "restored"]
    assert held["low"] <= held["mean"] <= held["high"]
    assert held["mean"] == pytest.approx(np.mean(values), abs=1e-5)
    better = next(d for d in summary["differences"] if (d["figure"], d["second"]) == ("psnr", "against"))
    assert better["low"] > 0
    page = (out / "index.html").read_text()
    assert page.count("<figure>") == 5
    assert page.count("data:image/jpeg;base64") == 15
    assert "ssim_basicsr" in page


def test_a_killed_evaluation_goes_on_to_the_same_figures(folders):
    kept = folders / "figures.jsonl"
    asked = Folders(results=folders / "restored", originals=folders / "clean")
    whole = evaluate(asked, FIGURES)
    calls = []

    def dying(result, original):
        calls.append(len(result))
        if len(calls) == 1:
            return psnr(result, original)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(asked, {"psnr": dying, "ssim": dying}, cache=kept)
    kept.write_text(kept.read_text() + '["cut')
    calls.clear()
    again = evaluate(asked, {**FIGURES, "psnr": dying}, cache=kept)
    assert calls == []
    assert again.pictures == whole.pictures
    assert evaluate(asked, FIGURES, cache=kept).pictures == whole.pictures
    fresh = evaluate(asked, {"psnr": lambda a, b: torch.zeros(len(a))}, cache=kept, revision="other weights")
    assert fresh.means["psnr"] == 0


def test_judged_side_by_side_the_figures_are_the_same_and_kept(folders):
    asked, kept = Folders(results=folders / "restored", originals=folders / "clean"), folders / "figures.jsonl"
    for number in range(20):  # several batches
        for folder in ("restored", "clean"):
            shutil.copy(folders / folder / "0.png", folders / folder / f"more-{number:02}.png")
    one = evaluate(asked, FIGURES)
    two = evaluate(asked, FIGURES, cache=kept, lanes=2)
    assert list(two.pictures) == list(one.pictures)
    assert two.pictures == one.pictures
    assert kept.read_bytes().count(b"\n") == len(one.pictures) * len(FIGURES)
    assert evaluate(asked, dict.fromkeys(FIGURES, None), cache=kept, lanes=2).pictures == one.pictures


def test_a_file_that_changed_is_judged_anew(folders):
    kept = folders / "figures.jsonl"
    asked = Folders(results=folders / "restored", originals=folders / "clean")
    evaluate(asked, {"psnr": psnr}, cache=kept)
    Image.fromarray(picture(0)).save(folders / "restored" / "0.png")
    assert evaluate(asked, {"psnr": psnr}, cache=kept).pictures["0"]["psnr"] > 100


def test_a_batch_s_figures_are_each_picture_s_own(folders):
    asked = Folders(results=folders / "restored", originals=folders / "clean")
    together = evaluate(asked, FIGURES).pictures
    for name in together:
        for other in folders.glob("restored/*.png"):
            if other.stem != name:
                other.rename(other.with_suffix(".aside"))
        alone = evaluate(asked, FIGURES).pictures
        assert alone[name] == pytest.approx(together[name], rel=1e-9)
        for other in folders.glob("restored/*.aside"):
            other.rename(other.with_suffix(".png"))


def test_what_does_not_belong_together_is_named(folders):
    clean, restored = folders / "clean", folders / "restored"

    def asked(**changes):
        return evaluate(Folders(**{"results": restored, "originals": clean, **changes}), FIGURES)

    save(folders / "others", {"x.png": picture(7)})
    with pytest.raises(PictureError, match=r"share no picture \(for instance x and 0\)"):
        asked(results=folders / "others")
    (folders / "empty").mkdir()
    with pytest.raises(PictureError, match="empty holds no picture"):
        asked(originals=folders / "empty")
    with pytest.raises(
        PictureError, match=r"but folders of them; give one: .*/clean, .*/others, .*/restored$"
    ) as error:
        asked(results=folders)
    assert "empty" not in str(error.value)
    with pytest.raises(PictureError, match="nowhere is not a folder"):
        asked(originals=folders / "nowhere")
    save(folders / "wide", {"0.png": picture(0)[:16]})
    with pytest.raises(PictureError, match=r"0.png has 32×16 px and .*32×32: other shapes"):
        asked(results=folders / "wide")
    mask = np.zeros((32, 32, 3), np.uint8)
    mask[8:20] = 255
    save(folders / "masks", {"0.png": mask})
    with pytest.raises(PictureError, match=r"0.png holds black and white alone: a mask"):
        asked(results=folders / "masks")
    with pytest.raises(InputError, match="identity_to_input is taken against the inputs"):
        evaluate(Folders(results=restored, originals=clean), {"identity_to_input": psnr})
    save(restored, {"0.jpg": picture(0)})
    with pytest.raises(PictureError, match=r"0.png.* have one name"):
        asked()


def test_grey_beside_colour_and_another_size_are_said(folders):
    save(folders / "odd", {"0.png": picture(0)[..., 0], "1.png": picture(1).repeat(2, 0).repeat(2, 1)})
    found = evaluate(Folders(results=folders / "odd", originals=folders / "clean"), {"psnr": psnr})
    assert "is grey beside" in found.notes[0]
    assert "was brought from 64 to its partner's 32 px" in found.notes[1]
    assert found.pictures["1"]["psnr"] > 100
    assert sorted(found.missing) == ["2", "3", "4"]


def test_a_protocol_says_what_it_lacks_and_what_it_expects(folders, capsys):
    names = [str(folders / name) for name in ("restored", "clean")]
    assert main(["evaluate", *names, "--protocol", "celeba-test", "--weights", str(folders)]) != 0
    shown = capsys.readouterr()
    assert "left out: lpips: LPIPS needs alexnet-owt-7be5be79.pth" in shown.out
    assert "has 32×32 px; this protocol judges at 512" in shown.err
    assert main(["evaluate", str(folders / "restored"), "--protocol", "celeba"]) != 0
    assert "no protocol is called 'celeba'; there are celeba-test, lfw" in capsys.readouterr().err
    assert main(["evaluate", str(folders / "restored")]) != 0
    assert "protocol folder needs the originals" in capsys.readouterr().err


def test_the_measures_are_listed_without_a_folder(capsys):
    assert main(["evaluate", "--metric", "help"]) == 0
    assert "lpips              LPIPS (AlexNet); needs gpen[metrics]" in capsys.readouterr().out
    assert main(["evaluate"]) != 0
    assert "name the folder of results" in capsys.readouterr().err


def test_bounds_hold_the_mean_as_often_as_they_say():
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(40):
        low, high = interval(random.normal(5, 2, 40).tolist())
        inside += low <= 5 <= high
    assert 33 <= inside <= 40
    assert interval([1.0, 2.0, math.nan]) == interval([1.0, 2.0])
    assert all(math.isnan(bound) for bound in interval([1.0]))


def test_a_paired_difference_is_found_where_there_is_one_and_only_there():
    random = np.random.default_rng(4)
    faces = random.normal(25, 3, 50)
    same, better = faces + random.normal(0, 0.3, 50), faces + 0.3 + random.normal(0, 0.3, 50)
    assert paired(better.tolist(), faces.tolist()).p < 0.001
    assert paired(same.tolist(), faces.tolist()).p > 0.05
    assert paired(faces.tolist(), faces.tolist()).p == pytest.approx(1)
    assert paired([1.0], [2.0]).count == 1
