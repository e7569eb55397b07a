"""The page of a run: all in one file, names as text, before and after, moved in a real browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpen_core.page import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Moves the slider, sorts, filters, presses keys, and leaves what it saw in the title.
DRIVE = """
<script>
const errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("securitypolicyviolation", event => errors.push("blocked " + event.blockedURI));
addEventListener("load", () => {
  const seen = {}, pairs = document.querySelectorAll(".pair"), slider = pairs[0].querySelector("input");
  slider.value = 20;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  seen.cut = pairs[0].style.getPropertyValue("--cut");
  seen.clip = getComputedStyle(pairs[0].querySelector(".after")).clipPath;
  const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  press("j"); press("j");
  seen.at = document.activeElement.dataset.name;
  press("a");
  seen.shown = document.activeElement.querySelector(".pair").style.getPropertyValue("--cut");
  order.value = "identity"; order.dispatchEvent(new Event("input"));
  seen.first = document.querySelector("article").dataset.name;
  press("f");
  seen.failed = [...document.querySelectorAll("article:not([hidden])")].map(row => row.dataset.name);
  seen.pictures = [...document.images].every(image => !image.complete || image.naturalWidth > 0);
  seen.requests = performance.getEntriesByType("resource").filter(one => !one.name.startsWith("data:")).length;
  seen.scripts = document.scripts.length;
  seen.errors = errors;
  document.title = JSON.stringify(seen);
});
</script>
"""


def picture(path: Path, seed: int, size: tuple[int, int] = (60, 80)) -> str:
    """A picture as hard to compress as any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def face(index: int, **figures) -> dict:
    box = [10.0 + index, 8.0, 40.0 + index, 40.0]
    return {"index": index, "box": box, "landmarks": [[0, 0]] * 5, "score": 0.9, "warnings": [], **figures}


def row(source: str, output: str | None, faces=(), **fields) -> dict:
    whole = {"input": source, "output": output, "status": "restored", "width": 80, "height": 60, "notes": []}
    return {**whole, "reason": None, "faces": list(faces), **fields}


def report_of(folder: Path, rows: list[dict]) -> Path:
    (folder / "report.json").write_text(json.dumps({"settings": {}, "pictures": rows, "totals": {}}))
    return folder / "report.json"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    names = ["a.png", "<img onerror=alert(1) src=x>.png", '"&amp;.png']
    rows = [
        row(
            picture(tmp_path / "in" / name, k),
            picture(tmp_path / "out" / name, 9 + k),
            [face(0, identity=0.9 - 0.3 * k, seam=1.0, warnings=["<b>lost</b> sharpness"])],
        )
        for k, name in enumerate(names)
    ]
    rows.append(row("broken<script>.jpg", None, status="failed", reason="<i>damaged</i>"))
    film = {"input": "f<u>.mp4", "output": "o.mp4", "frames": 9, "tracks": [], "notes": ["<s>tag</s>"]}
    (tmp_path / "f.report.json").write_text(json.dumps(film))
    (tmp_path / "f.report.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')
    films = [tmp_path / "f.report.json", tmp_path / "none<p>.report.json"]
    write_page(tmp_path / "report.html", report_of(tmp_path, rows), films)
    return tmp_path / "report.html"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href", "data", "action", "srcset")]


def test_names_notes_and_reasons_are_text(page):
    text = page.read_text()
    tags = Tags(text)
    assert not {"b", "i", "u", "s"} & set(tags.names)
    assert tags.names.count("script") == 1
    assert tags.names.count("article") == 6
    assert "&lt;img onerror=alert(1) src=x&gt;.png" in text
    assert "&lt;b&gt;lost&lt;/b&gt; sharpness" in text


def test_nothing_on_the_page_comes_from_elsewhere(page):
    tags = Tags(page.read_text())
    assert tags.sources
    assert all(source.startswith("data:image/") for source in tags.sources)
    assert not re.search(r"url\(|@import|fetch\(", page.read_text())


def test_a_result_in_the_place_of_its_input_has_no_before(tmp_path):
    same = picture(tmp_path / "a.png", 1)
    write_page(tmp_path / "p.html", report_of(tmp_path, [row(same, same, [face(0)])]))
    text = (tmp_path / "p.html").read_text()
    assert text.count('alt="after"') == 1
    assert 'alt="before"' not in text


def test_a_figure_that_is_no_number_keeps_no_picture_from_the_page(tmp_path):
    faces = [face(0, seam=1.25, identity=None), face(1, seam=None, colour_shift=None), face(2, seam=1.5)]
    rows = [row("a.png", None, faces), row("b.png", None, [face(0, seam=None)])]
    write_page(tmp_path / "p.html", report_of(tmp_path, rows))
    first, second = re.findall(r"<article.*?>", (tmp_path / "p.html").read_text())
    assert 'data-seam="1.5000"' in first
    assert "data-seam" not in second


def test_two_hundred_faces_take_less_than_thirty_megabytes(tmp_path):
    rows = [
        row(
            picture(tmp_path / "in" / f"{k}.bmp", k, (480, 640)),
            picture(tmp_path / "out" / f"{k}.bmp", 99 + k, (480, 640)),
            [face(index) for index in range(100)],
        )
        for k in range(2)
    ]
    write_page(tmp_path / "p.html", report_of(tmp_path, rows))
    assert (tmp_path / "p.html").stat().st_size < 30e6
    assert (tmp_path / "p.html").read_text().count('class="face"') == 200


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium, and the page is tried in it")
def test_the_page_works_in_a_browser(page, tmp_path):
    driven = tmp_path / "driven.html"
    driven.write_text(page.read_text().replace("</html>", DRIVE + "</html>"))
    words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", "--dump-dom"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", driven.as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120).stdout
    title = re.search(r"<title>(.*?)</title>", shown)
    assert title is not None
    seen = json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert seen["errors"] == []
    assert (seen["cut"], seen["clip"]) == ("20%", "inset(0px 0px 0px 20%)")
    assert seen["at"].endswith("<img onerror=alert(1) src=x>.png")
    assert seen["shown"] == "0%"
    assert seen["first"].endswith('"&amp;.png')
    assert sorted(seen["failed"]) == ["broken<script>.jpg", "none<p>.report.json"]
    assert (seen["pictures"], seen["requests"], seen["scripts"]) == (True, 0, 2)
