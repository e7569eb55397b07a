"""The films among what a command line names, and where each result goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..batch.inputs import Item, is_folder, refuse_collisions, refuse_unknown_suffix, sources_of
from ..batch.kinds import FILM_SUFFIXES, is_film, is_picture
from ..errors import InputError
from ..images.writing import FORMATS
from .encoding import CONTAINERS


def collect_films(inputs: Sequence[str | Path], output: str | Path) -> tuple[list[Item], list[str | Path]]:
    """The films in a stable order, each once, and the inputs that hold something else: pictures, or nothing known.

    output: a folder; or a file's name, when there is one film, unless it ends with a separator. Films keep their suffix
    where films are written so, others become .mp4. Raises InputError when a file is missing, or two results would have
    the same name.
    """
    folder, output = is_folder(output), Path(output)
    sources = sources_of(inputs, output, is_film, named=False)
    rest = [given for given in inputs if not sources or _holds_others(given, output)]
    is_file = output.suffix.lower() in {*FILM_SUFFIXES, *CONTAINERS, *FORMATS} and not folder
    if is_file and len(sources) > 1:
        raise InputError(f"{len(sources)} films cannot all become {output}; give a folder")
    if is_file and sources and rest:
        raise InputError(f"films and pictures cannot all become {output}; give a folder")
    if sources and not is_file and not folder:
        refuse_unknown_suffix(inputs, output, "film", CONTAINERS)
    items = [
        Item(source=source, target=output if is_file else (output / name).with_suffix(suffix))
        for source, name in sources.items()
        for suffix in (name.suffix if name.suffix.lower() in CONTAINERS else ".mp4",)
    ]
    refuse_collisions(items)
    return items, rest


def _holds_others(given: str | Path, output: Path) -> bool:
    """Whether something is to be done here that is no film."""
    if Path(given).is_file():
        return not is_film(given)
    films = sources_of([given], output, is_film)
    return not films or bool(sources_of([given], output, is_picture))
