"""Writes docs/options.md from the fields of the options: python docs/scripts/write_options.py"""

from __future__ import annotations

import argparse
import math
from dataclasses import is_dataclass
from pathlib import Path

from gpen_core.fields import Option, described
from gpen_core.film_options import FilmOptions, Smoothing
from gpen_core.option_texts import WITHOUT, name_of
from gpen_core.options import Blending, Masking, RestoreOptions, Selection
from gpen_core.serve_options import ServeOptions

OUT = Path(__file__).parent.parent / "options.md"
_HEAD = """# Options

This page is written by `docs/scripts/write_options.py`; change that, not this. One field makes the flag of the
shell, the input of a ComfyUI node, the parameter of the service and the control of the app; those without a flag are
for Python.
"""
#: Each part, and where it stands in Python.
_PARTS = {
    Selection: "Which faces: `RestoreOptions(selection=Selection(…))`",
    Masking: "How much of each crop goes back: `RestoreOptions(masking=Masking(…))`",
    Blending: "How the face is mixed in: `RestoreOptions(blending=Blending(…))`",
    RestoreOptions: "Everything else: `RestoreOptions(…)`",
    FilmOptions: "Films: `restore_film(…, film=FilmOptions(…))`",
    Smoothing: "Smoothing along a film: `FilmOptions(smoothing=Smoothing(…))`",
    ServeOptions: "The service: `create_service(…, ServeOptions(…))`",
}


def row(entry: Option, *, flag: bool) -> str:
    """One option's line of the table."""
    shown = f"`--{name_of(entry.name).replace('_', '-')}`" if flag and entry.name not in WITHOUT else ""
    default = entry.none if entry.default is None else f"`{_plain(entry.default)}`"
    words = entry.help.replace("|", "\\|")
    allowed = entry.expected if entry.kind is not bool else "true or false"
    return f"| `{entry.name}` | {shown} | {default} | {allowed} | {words} |"


def _plain(value: object) -> str:
    if isinstance(value, float):
        return "any" if value == math.inf else f"{value:.4g}"
    return "{}" if value == {} else str(value)


def page() -> str:
    """The whole page."""
    lines = [_HEAD]
    for part, title in _PARTS.items():
        lines += [f"## {title}", "", "| field | flag | default | allowed | meaning |", "|---|---|---|---|---|"]
        options = [entry for entry in described(part).values() if not is_dataclass(entry.kind)]
        lines += [row(entry, flag=part is not Smoothing) for entry in options]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Writes the page."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    OUT.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
