"""What the campaign found, again and again: alone, and pictures beside two good ones through a whole folder."""

from pathlib import Path

import pytest
from campaign.loading_child import attempt
from campaign.reading_child import outcome
from small_batches import photograph, report_of, run

from gpen_core.batch import collect
from gpen_core.images.metadata import Provenance

FOUND = Path(__file__).parent / "campaign" / "cases"
CASES = sorted((FOUND / "pictures").iterdir())
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_a_case_is_a_picture_or_one_line(tmp_path, path):
    for allow_truncated in (False, True):
        for suffix in (".jpg", ".png", ".tif"):
            assert outcome(path, tmp_path / f"out{suffix}", allow_truncated=allow_truncated) in ("read", "refused")


@pytest.mark.parametrize("path", sorted((FOUND / "weights").glob("*")), ids=lambda path: path.name)
def test_a_case_of_weights_is_loaded_or_refused_in_one_line(path):
    for number in range(1, 8):
        assert attempt(number, path) in ("loaded", "refused")


def test_cases_keep_no_good_picture_from_being_restored(tmp_path):
    (tmp_path / "in").mkdir()
    for path in CASES:
        (tmp_path / "in" / f"case_{path.name}").write_bytes(path.read_bytes())
    photograph(tmp_path / "in" / "a.png", 1)
    photograph(tmp_path / "in" / "z.png", 2)
    items = collect([tmp_path / "in"], tmp_path / "out")
    run(items, tmp_path / "out", provenance=Provenance(model="m"), max_pixels=20_000_000)
    rows = {Path(row["input"]).name: row["status"] for row in report_of(tmp_path / "out")["pictures"]}
    assert len(rows) == len(CASES) + 2
    assert rows["a.png"] == rows["z.png"] == "restored"
