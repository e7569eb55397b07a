"""The app, driven in a real browser: upload, leave a face out, restore, move the slider, take the result home.

With GPEN_PICTURES=FOLDER it also writes what is seen on the way there: docs/scripts/make_pictures.py does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from free_port import accepts, free_port
from PIL import Image

pytest.importorskip("gradio", reason="no Gradio here: pip install 'gpen[app]'")
playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent
TWO_FACES = ROOT / "nodes" / "examples" / "two-prints.jpg"
EXAMPLE = ROOT / "gpen_core" / "examples" / "sent-around.jpg"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the app keeps what it makes."""
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def address(scratch: Path) -> Iterator[str]:
    port = free_port()
    words = [sys.executable, "-m", "gpen_core.cli.main", "app", "--port", str(port), "--no-browser", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    served = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    assert served.stdout is not None
    assert str(port) in served.stdout.readline()
    until(lambda: accepts(port))
    yield f"http://127.0.0.1:{port}"
    served.terminate()
    served.stdout.close()
    assert served.wait(60) == 0


def until(seen: Callable[[], bool]) -> None:
    """Waits for it, two minutes at most."""
    for _ in range(600):
        if seen():
            return
        time.sleep(0.2)
    raise AssertionError("it never came about")


class Visit:
    """A page of the app, what it asked for and what it complained of."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.asked, self.said = page, [], []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#restore")

    def shoot(self, name: str) -> None:
        """Keeps what is seen, where it was asked for."""
        if folder := os.environ.get("GPEN_PICTURES"):
            self.page.evaluate("scrollTo(0, 0)")
            self.page.screenshot(path=Path(folder, f"{name}.png"))

    def drop(self, *files: Path) -> None:
        self.page.set_input_files("#files input[type=file]", [str(file) for file in files])

    def click_on(self, selector: str, x: float, y: float) -> None:
        """Clicks a picture at a place in fractions of its size."""
        image = self.page.locator(selector)
        box = image.bounding_box()
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def run(self) -> str:
        """What is said once it is done."""
        self.page.click("#restore")
        said = self.page.locator("#said textarea")
        playwright.expect(said).not_to_have_value("", timeout=120_000)
        return said.input_value()


@pytest.fixture
def visit(address: str, tmp_path: Path) -> Iterator[Visit]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 1180}, accept_downloads=True)
        page.set_default_timeout(60_000)
        made = Visit(page, address)
        yield made
        browser.close()
    strangers = [url for url in made.asked if not url.startswith((address, "data:", "blob:"))]
    assert strangers == []
    assert made.said == []


def test_upload_leave_out_restore_slide_and_take_home(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    Image.open(TWO_FACES).convert("RGB").save(tmp_path / "two-prints.png")
    visit.drop(tmp_path / "two-prints.png")
    page.wait_for_selector("#faces img")
    playwright.expect(page.locator("#faces")).to_contain_text("2 faces")
    visit.shoot("app-faces")
    visit.click_on("#faces img", 0.25, 0.45)
    page.wait_for_timeout(1500)
    visit.shoot("app-left-out")
    assert visit.run().startswith("1 of 1 picture, 1 face")
    page.wait_for_selector("#slider img")
    after = page.locator("#slider img").last
    before = after.evaluate("image => [getComputedStyle(image).clipPath, image.getBoundingClientRect().width].join()")
    box = page.locator("#slider img").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    assert before != after.evaluate(
        "image => [getComputedStyle(image).clipPath, image.getBoundingClientRect().width].join()"
    )
    visit.shoot("app")
    with page.expect_download() as download:
        page.locator("#home a").first.click()
    download.value.save_as(tmp_path / "result.png")
    given, result = (
        np.asarray(Image.open(path).convert("RGB"), np.int16)
        for path in (tmp_path / "two-prints.png", tmp_path / "result.png")
    )
    assert result.shape == given.shape
    half = given.shape[1] // 2
    assert np.array_equal(given[:, :half], result[:, :half])
    assert abs(given - result)[:, half:].mean() > 0.1
    assert page.locator("#home").inner_text().count("report") == 2


def test_what_cannot_be_read_is_said_on_the_page(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(EXAMPLE.read_bytes()[:600])
    visit.drop(tmp_path / "broken.jpg")
    playwright.expect(visit.page.get_by_text("damaged or cut short").first).to_be_visible()


def test_each_picture_keeps_its_choice_beside_one_that_cannot_be_read(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "a-broken.jpg").write_bytes(EXAMPLE.read_bytes()[:600])
    for name in ("b.jpg", "c.jpg"):
        shutil.copy(TWO_FACES, tmp_path / name)
    page, faces = visit.page, visit.page.locator("#faces")
    visit.drop(*(tmp_path / name for name in ("a-broken.jpg", "b.jpg", "c.jpg")))
    playwright.expect(page.get_by_text("a-broken.jpg is damaged").first).to_be_visible()
    for turn, name in ((1, "b.jpg"), (2, "c.jpg")):
        page.click("#which input")
        page.get_by_role("option").nth(turn).click()
        playwright.expect(page.locator("#which input")).to_have_value(name)
        playwright.expect(faces).to_contain_text("2 faces")
        page.wait_for_timeout(1500)
        visit.click_on("#faces img", 0.25, 0.45)
        page.wait_for_timeout(1500)
    said = visit.run().splitlines()
    assert said[0] == "2 of 3 pictures, 2 faces"
    assert said[1].startswith("a-broken.jpg is damaged or cut short")


def test_a_run_that_fails_leaves_the_results_of_the_last(visit: Visit, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(EXAMPLE, tmp_path / name)
    page = visit.page
    visit.drop(tmp_path / "a.jpg", tmp_path / "b.jpg")
    page.wait_for_selector("#faces img")
    visit.run()
    page.locator("#option-sharpen input, #option-sharpen textarea").first.fill("much")
    page.click("#restore")
    playwright.expect(page.get_by_text("sharpen is 'much'; expected a number from 0 to 20").first).to_be_visible()
    page.click("#result input")
    page.get_by_role("option").nth(1).click()
    page.wait_for_timeout(3000)
    assert page.get_by_text("no such file").count() == 0


def test_whoever_waits_for_a_turn_can_leave_the_queue(visit: Visit, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(30)]
    for file in files:
        file.write_bytes(EXAMPLE.read_bytes())
    visit.drop(*files)
    visit.page.wait_for_selector("#faces img")
    visit.page.click("#restore")
    visit.page.get_by_text("of 30 pictures").first.wait_for()
    other = Visit(visit.page.context.browser.new_page(), visit.page.url)
    other.drop(EXAMPLE)
    other.page.wait_for_selector("#faces img")
    other.page.click("#restore")
    other.page.get_by_text("queue: ").first.wait_for()
    other.page.click("#cancel")
    playwright.expect(other.page.get_by_text("cancelled; what was done").first).to_be_visible()
    visit.page.click("#cancel")
    playwright.expect(visit.page.get_by_text("cancelled; what was done").first).to_be_visible()
    visit.drop(EXAMPLE)
    assert visit.run().startswith("31 of 31 pictures")
    assert other.page.locator("#said textarea").input_value() == ""


def test_a_run_is_cancelled(visit: Visit, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(30)]
    for file in files:
        file.write_bytes(EXAMPLE.read_bytes())
    visit.drop(*files)
    visit.page.wait_for_selector("#faces img")
    visit.page.click("#restore")
    visit.page.get_by_text("of 30 pictures").first.wait_for()
    visit.page.click("#cancel")
    playwright.expect(visit.page.get_by_text("cancelled; what was done").first).to_be_visible()
    visit.drop(EXAMPLE)
    assert visit.run().startswith("31 of 31 pictures")


def test_whoever_goes_away_leaves_nothing(visit: Visit, scratch: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(30)]
    for file in files:
        file.write_bytes(EXAMPLE.read_bytes())
    visit.drop(*files)
    visit.page.wait_for_selector("#faces img")
    visit.page.click("#restore")
    visit.page.get_by_text("of 30 pictures").first.wait_for()
    results = {folder for folder in scratch.glob("gpen-app-*/*") if any(folder.rglob("*.jpg"))}
    assert results
    visit.page.close()
    until(lambda: not any(folder.exists() for folder in results))


def test_a_film_comes_back_restored(visit: Visit, tmp_path: Path) -> None:
    from small_films import write_film

    film = write_film(tmp_path / "walk.mp4", [np.asarray(Image.open(EXAMPLE).convert("RGB"))] * 3)
    visit.drop(film)
    assert "walk.mp4: 3 frames" in visit.run()
