"""Every command in the README and the docs is one that there is: the cheap ones run, the others are parsed."""

from __future__ import annotations

import importlib
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from documents import DOCUMENTS, ROOT, as_gpen, blocks, commands, inline

from gpen_core.cli.main import VERBS, main, parser_for

COMMANDS = sorted(set(commands()))
OURS = [(one, words) for one in COMMANDS if (words := as_gpen(one.words)) is not None]
#: Programs of others; what stands behind them is theirs.
OTHERS = {
    *("cd", "cog", "cp", "export", "git", "hf", "kubectl", "mkdir", "mkdocs", "openssl", "pytest"),
    *("head", "head=$(scontrol", "ray", "sbatch", "sleep", "srun"),
}
#: Flags of others that documents speak of.
OTHER_FLAGS = {"--build-arg", "--data-binary", "--no-deps", "--strict", "--world-size"}


@pytest.mark.parametrize(("command", "words"), OURS, ids=[str(one) for one, _ in OURS])
def test_every_command_is_understood(command, words, capsys):
    if not words or words[0].startswith("-"):
        assert main(words) == 0
        return
    assert words[0] in VERBS
    verb = importlib.import_module(f"gpen_core.cli.{words[0]}")
    if {"--help", "…", "..."} & set(words):  # something is left out
        assert {word for word in words if word.startswith("--")} <= flags_of(words[0]) | {"--help"}
    else:
        parser_for(verb).parse_args(words[1:])


def flags_of(verb: str) -> set[str]:
    parser = parser_for(importlib.import_module(f"gpen_core.cli.{verb}"))
    return {flag for action in parser._actions for flag in action.option_strings}


def extras() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text()
    (part,) = re.findall(r"^\[project.optional-dependencies\]\n(.*?)^\[", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^(\w+) = ", part, re.MULTILINE))


@pytest.mark.parametrize("command", [one for one in COMMANDS if as_gpen(one.words) is None], ids=str)
def test_every_other_command_speaks_of_what_there_is(command):
    words = [word.removeprefix(".venv/bin/") for word in command.words]
    program, rest = words[0], words[1:]
    if program in ("python", "python3"):
        if rest[0] == "-m" and rest[1] == "pip":
            program, rest = "pip", rest[2:]
        elif rest[0] == "-m":
            assert rest[1] in ("venv", "pytest") or importlib.util.find_spec(rest[1].split(".")[0]) is not None, rest[1]
            return
        else:
            program, rest = rest[0], rest[1:]
    if program == "pip":
        for found in re.findall(r"\[([\w,]+)\]", " ".join(rest)):
            assert set(found.split(",")) <= extras(), found
    elif program.endswith(".py"):
        script = ROOT / program
        assert script.is_file(), program
        text = "".join(path.read_text() for path in script.parent.glob("*.py"))
        for flag in (word for word in rest if word.startswith("--")):
            assert f'"{flag}"' in text, f"{program} has no {flag}"
    elif program == "curl":
        asked(next(word for word in rest if word.startswith("http")))
    elif program == "docker":
        named = [rest[index + 1] for index, word in enumerate(rest) if word in ("-f", "--file")]
        assert all((ROOT / name).is_file() for name in named)
    elif program in ("ruff", "mypy", "pre-commit", ".ci/run"):
        pass
    else:
        assert program in OTHERS, f"{program}: say in tests/test_docs.py whose it is"


def asked(url: str) -> None:
    pytest.importorskip("fastapi", reason="no fastapi here: pip install 'gpen[serve]'")
    from gpen_core.serve.request import Wish

    parts = urlsplit(url)
    assert parts.path in ("/restore", "/health", "/metrics")
    from starlette.datastructures import QueryParams

    Wish.of(QueryParams(parts.query))


def flags_that_there_are() -> set[str]:
    found = {flag for name in VERBS for flag in flags_of(name)}
    for script in [*(ROOT / "training").rglob("*.py"), *(ROOT / "docs" / "scripts").glob("*.py")]:
        found |= set(re.findall(r'"(--[\w-]+)"', script.read_text()))
    return found


def test_every_flag_that_is_spoken_of_is_one():
    known = flags_that_there_are() | OTHER_FLAGS
    spoken = {
        (path.name, flag)
        for path in DOCUMENTS
        for code in inline(path)
        for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", code)
    }
    assert len(spoken) > 60
    assert sorted((name, flag) for name, flag in spoken if flag not in known) == []


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout to commands, and takes what they write."""
    for name in ("gpen_core", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_minute_does_what_it_says(checkout, capsys):
    line = next(words for one, words in OURS if one.document == "docs/index.md" and "gpen_core/examples" in words)
    assert main(line) == 0
    made = {path.name for path in (checkout / "restored").iterdir()}
    assert {"report.json", "report.html"} | {path.name for path in (ROOT / "gpen_core/examples").iterdir()} <= made
    readme = next(words for one, words in OURS if one.document == "README.md" and "gpen_core/examples" in words)
    assert readme == [word for word in line if word != "--page"]


@pytest.mark.parametrize("block", blocks(ROOT / "docs" / "python.md", "python"))
def test_what_python_is_shown_runs(block, checkout, capsys):
    exec(compile(block, "docs/python.md", "exec"), {"__name__": "__main__"})  # noqa: S102 (a document of this project)
    assert capsys.readouterr().out.strip()


def test_every_link_and_picture_within_the_project_is_there():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_readme_keeps_to_a_screen():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 45
    assert sum("![" in line for line in lines) == 1


def test_the_page_of_options_is_what_the_fields_say():
    page = runpy.run_path(str(ROOT / "docs" / "scripts" / "write_options.py"))["page"]()
    said = "write it anew: python docs/scripts/write_options.py"
    assert (ROOT / "docs" / "options.md").read_text() == page, said


def test_every_page_is_in_the_contents():
    text = (ROOT / "mkdocs.yml").read_text()
    assert sorted(re.findall(r": ([\w-]+\.md)$", text, re.MULTILINE)) == sorted(
        path.name for path in (ROOT / "docs").glob("*.md")
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mkdocs") is None, reason="no mkdocs here: pip install 'gpen[docs]'")
def test_the_site_builds_without_a_warning(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml"), "-d", str(tmp_path)]
    built = subprocess.run(words, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "WARNING -" not in built.stderr
    assert "load_model" in (tmp_path / "api" / "index.html").read_text()
