"""Makes the pictures of README and docs anew: PYTHONPATH=.:tests python docs/scripts/make_pictures.py

Before and after of the pictures that come with the package, by the model that ships; that model's
training curves. Where Gradio, Playwright and Chromium are, the app as it is driven by tests/test_app_browser.py; with
COMFYUI_ROOT (and COMFYUI_PYTHON, where it runs in another environment) a template in a real ComfyUI, run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gpen_core import FaceRestorer, load_detector, load_model

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "docs" / "pictures"
EXAMPLES = sorted((ROOT / "gpen_core" / "examples").glob("*.jpg"))
_SIDE, _GAP = 320, 8
#: Of a face's box, so much is shown around it.
_AROUND = 2.2
#: Pictures of screens are at most so wide.
_WIDTH = 1000
_TEMPLATE = "1 Restore a photograph"


def before_and_after(restorer: FaceRestorer) -> Image.Image:
    """Each example's face before and after, in a row."""
    tiles: list[Image.Image] = []
    for path in EXAMPLES:
        before = Image.open(path).convert("RGB")
        result = restorer.restore(path)
        after = Image.fromarray(np.asarray(result.picture)).convert("RGB")
        left, top, right, bottom = (float(v) for v in result.faces[0].box)
        side = min(_AROUND * max(right - left, bottom - top), *before.size)
        x = min(max((left + right - side) / 2, 0), before.width - side)
        y = min(max((top + bottom - side) / 2, 0), before.height - side)
        window = (round(x), round(y), round(x + side), round(y + side))
        tiles += [half.crop(window).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS) for half in (before, after)]
    sheet = Image.new("RGB", (len(tiles) * (_SIDE + _GAP) - _GAP, _SIDE), "white")
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index * (_SIDE + _GAP), 0))
        said = ("before", "after")[index % 2]
        ImageDraw.Draw(sheet).text((index * (_SIDE + _GAP) + 8, 6), said, "white", stroke_width=2, stroke_fill="black")
    return sheet


def app() -> None:
    """The app's page, as the browser test sees it."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "pytest", "-q", "-m", "browser", "-k", "take_home", "tests/test_app_browser.py"]
        subprocess.run(words, cwd=ROOT, env={**os.environ, "GPEN_PICTURES": folder}, check=True)  # noqa: S603
        for name in ("app", "app-left-out"):
            save(Path(folder, f"{name}.png"), name)


def comfyui() -> None:
    """A template in a real ComfyUI, run."""
    from comfyui_server import Server
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        nodes = Path(folder, "custom_nodes")
        nodes.mkdir()
        (nodes / "gpen").symlink_to(ROOT)
        server = Server(Path(folder))
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1500, "height": 900})
                page.goto(f"http://127.0.0.1:{server.port}")
                page.wait_for_function("() => window.app?.graph && window.app.extensionManager", timeout=120_000)
                page.wait_for_timeout(5000)
                # The core's comparison shows its slider in the newer of its two ways to draw.
                page.evaluate("() => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', true)")
                graph = json.loads((ROOT / "workflows" / f"{_TEMPLATE}.json").read_text())
                page.evaluate("graph => window.app.loadGraphData(graph)", graph)
                page.wait_for_timeout(2000)
                page.evaluate("() => window.app.queuePrompt(0)")
                while not server.get("/history"):
                    page.wait_for_timeout(500)
                page.wait_for_timeout(3000)
                page.keyboard.press("Escape")
                page.mouse.click(900, 800)
                page.keyboard.press(".")  # all of it in sight
                page.wait_for_timeout(2000)
                page.screenshot(path=Path(folder, "shot.png"))
                browser.close()
            save(Path(folder, "shot.png"), "comfyui")
        finally:
            server.stop()


def save(shot: Path, name: str) -> None:
    """Keeps a picture of a screen, small."""
    image = Image.open(shot).convert("RGB")
    image.thumbnail((_WIDTH, 10 * _WIDTH), Image.Resampling.LANCZOS)
    image.save(OUT / f"{name}.webp", quality=80)


def main() -> None:
    """Writes docs/pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    OUT.mkdir(exist_ok=True)
    restorer = FaceRestorer(load_model("gpen-open", device="cpu"), load_detector(device="cpu"))
    before_and_after(restorer).save(OUT / "before-after.jpg", quality=88)
    save(ROOT / "training" / "open_model" / "curves-gpen-open-256.png", "curves")
    missing = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
    if shutil.which("chromium") is None:
        missing.append("chromium")
    if missing:
        print(f"no {' and no '.join(missing)} here: the pictures of the app and of ComfyUI stay as they are")
        return
    app()
    if os.environ.get("COMFYUI_ROOT"):
        comfyui()


if __name__ == "__main__":
    main()
