"""Every script outside the package can be imported and says what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_scripts import DOCS, TRAINING, script

OURS = {"gpen_core", "training", *(path.stem for path in DOCS.glob("*.py"))}


def scripts() -> list[Path]:
    paths = [*TRAINING.rglob("*.py"), *DOCS.glob("*.py")]
    return sorted(path for path in paths if '__name__ == "__main__"' in path.read_text())


@pytest.mark.parametrize("path", scripts(), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_script_finds_what_it_imports_and_says_how_it_is_called(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setattr("sys.argv", [path.name, "--help"])
    try:
        module = script(path)
        with pytest.raises(SystemExit) as ended:
            module.main()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in OURS:
            raise
        pytest.skip(f"needs {error.name}, which is not installed")
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"usage: {path.name}")
    assert " ".join(module.__doc__.split("\n")[0].split()) in said
