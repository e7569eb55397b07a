"""A real ComfyUI as a server of its own, in a folder of its own: graphs are posted to it as the page does."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from free_port import free_port
from pack_loader import ROOT
from PIL import Image

START_SECONDS = 240


def comfyui_root() -> Path:
    """The ComfyUI to test with; skips the test, saying so, where there is none."""
    root = os.environ.get("COMFYUI_ROOT")
    if not root:
        pytest.skip("needs a real ComfyUI: set COMFYUI_ROOT to its folder (and COMFYUI_PYTHON to its interpreter)")
    return Path(root)


def comfyui_python() -> str:
    """The interpreter that ComfyUI runs in: COMFYUI_PYTHON, else this one."""
    return os.environ.get("COMFYUI_PYTHON", sys.executable)


class Server:
    """ComfyUI on a free port, with `base` as its folder of models, inputs, outputs and node packs.

    It gets no network but the loopback's: the Hub is told to stay offline.
    """

    def __init__(self, base: Path) -> None:
        for folder in ("custom_nodes", "models", "input", "output", "user"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        self.base = base
        self.port = free_port()
        self.log_path = base / "server.log"
        command = [comfyui_python(), "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(self.port)]
        command += ["--base-directory", str(base), "--disable-auto-launch", "--disable-api-nodes"]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(base / "hub")}
        self._log = self.log_path.open("w")
        self._process = subprocess.Popen(
            command, cwd=comfyui_root(), env=environment, stdout=self._log, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError) as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"ComfyUI did not start:\n{self.log()[-3000:]}") from error
            time.sleep(0.5)

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    def stop(self) -> None:
        """Ends the server."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def log(self) -> str:
        """What the server has printed."""
        return self.log_path.read_text(errors="replace")

    def get(self, path: str) -> Any:
        """The JSON at this route."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as response:
            body = response.read()
        return json.loads(body) if body else None

    def fetch(self, path: str) -> tuple[int, bytes]:
        """Status and content at this route."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, path: str, values: Mapping[str, Any]) -> Any:
        """The JSON that the route answers, also when it refuses."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(values).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        return json.loads(body) if body else None

    def queue(self, graph: Mapping[str, Any]) -> str:
        """The id of the run of this graph (API form). Fails the test when the server refuses it."""
        answer = self.post("/prompt", {"prompt": graph})
        if answer.get("error") or answer.get("node_errors"):
            pytest.fail(f"the server refuses the graph: {json.dumps(answer)[:2000]}")
        return str(answer["prompt_id"])

    def wait(self, run: str, seconds: float = 300) -> dict[str, Any]:
        """The run's entry in the history, once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            entry = self.get(f"/history/{run}").get(run)
            if entry is not None and entry["status"]["status_str"] in ("success", "error"):
                return dict(entry)
            time.sleep(0.05)
        pytest.fail(f"the run did not end within {seconds} s:\n{self.log()[-3000:]}")

    def run(self, graph: Mapping[str, Any], seconds: float = 300) -> dict[str, Any]:
        """The outputs of the graph's nodes, by node. Fails the test when a node does."""
        entry = self.wait(self.queue(graph), seconds)
        if entry["status"]["status_str"] != "success":
            messages = [m[1] for m in entry["status"]["messages"] if m[0] == "execution_error"]
            pytest.fail(json.dumps(messages or entry["status"])[:3000])
        return dict(entry["outputs"])

    def saved(self, outputs: Mapping[str, Any], node: str) -> list[Path]:
        """The pictures that a Save Image node wrote in this run."""
        return [self.base / "output" / image["subfolder"] / image["filename"] for image in outputs[node]["images"]]

    def picture(self, shown: Mapping[str, str]) -> np.ndarray:
        """(H, W, 3) uint8: a picture that a node shows, as the page fetches it."""
        status, content = self.fetch(f"/view?{urllib.parse.urlencode(shown)}")
        assert status == 200, content[:200]
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def in_the_engine(job: str, server: Server, *arguments: str) -> dict[str, Any]:
    """What `comfyui_engine.py` finds in ComfyUI's own interpreter, without a server."""
    command = [comfyui_python(), str(ROOT / "tests" / "comfyui_engine.py"), job, str(server.base), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def defaults(server: Server, name: str) -> dict[str, Any]:
    """The values that the page gives a new node's widgets."""
    known = server.get("/object_info")[name]["input"]["required"]
    chosen = {part: (*said, {})[1].get("default") for part, said in known.items()}
    chosen |= {part: said[1]["options"][0] for part, said in known.items() if said[0] == "COMBO" and not chosen[part]}
    return {part: value for part, value in chosen.items() if value is not None}
