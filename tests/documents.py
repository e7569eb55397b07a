"""Commands and flags that stand in the project's documents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "training/README.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "integrations").glob("*/README.md"),
    ]
)
#: The module that `gpen` is, for launchers.
_MODULE = "gpen_core.cli.main"


class Command(NamedTuple):
    """One command of a document, as its words."""

    document: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {' '.join(self.words)}"


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", path.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> Iterator[Command]:
    """Every command of every document: comments, joined lines, chains, pipes and variables resolved."""
    for path in DOCUMENTS:
        for block in blocks(path, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for words in _split(line):
                    yield Command(str(path.relative_to(ROOT)), tuple(words))


def _split(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("&|;"):
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(word)


def as_gpen(words: tuple[str, ...]) -> list[str] | None:
    """Verb and arguments of a call of `gpen`, however it is called; None for another program."""
    given = list(words)
    if given[0] in ("gpen", ".venv/bin/gpen"):
        return given[1:]
    if _MODULE in given:
        return given[given.index(_MODULE) + 1 :]
    if given[:2] == ["docker", "run"] and "gpen" in given[2:]:
        rest = given[given.index("gpen", 2) + 1 :]  # the image, and perhaps the program in it
        return rest[1:] if rest[:1] == ["gpen"] else None
    return None


def inline(path: Path) -> list[str]:
    """What stands between single backticks outside blocks."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)
