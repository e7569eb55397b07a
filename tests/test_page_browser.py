"""A page of 200 faces in a real browser: it opens at once, its slider moves, and nothing leaves it."""

from __future__ import annotations

import shutil
import time

import pytest
from test_page import face, picture, report_of, row

from gpen_core.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
pytestmark = pytest.mark.browser


def test_two_hundred_faces_open_within_three_seconds(tmp_path):
    rows = [
        row(
            picture(tmp_path / "in" / f"{k}.png", k, (480, 640)),
            picture(tmp_path / "out" / f"{k}.png", 99 + k, (480, 640)),
            [face(index, identity=0.5, seam=1.0) for index in range(10)],
        )
        for k in range(20)
    ]
    path = tmp_path / "report.html"
    write_page(path, report_of(tmp_path, rows))
    asked, said = [], []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        began = time.perf_counter()
        page.goto(path.as_uri())
        seconds = time.perf_counter() - began
        box = page.locator(".pair input").first.bounding_box()
        page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        cut = page.locator(".pair").first.evaluate("pair => parseFloat(pair.style.getPropertyValue('--cut'))")
        browser.close()
    print(f"{path.stat().st_size / 1e6:.1f} MB, open after {seconds:.2f} s")
    assert path.stat().st_size < 30e6
    assert seconds < 3
    assert 20 < cut < 30
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert said == []
