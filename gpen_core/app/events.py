"""What happens on the page when something is dropped, clicked, painted or pressed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from ..batch.kinds import is_film
from ..errors import GPENError
from ..option_texts import written
from ..options import RestoreOptions, Selection
from .controls import options_of
from .look import Choice, Look
from .page import TITLE, Given, Shown, lay_out
from .studio import Cancelled, Results, Studio, everything_in, named
from .visitors import Visitors

#: People who wait; the next is told to come back.
_QUEUE = 16
#: Seconds after which what was uploaded or made is removed, and between two looks for such files.
_KEPT, _EVERY = 6 * 3600, 1800
_STOPPED = "cancelled; what was done until then is gone"

#: What components hold, or are to hold, by component.
Values = Mapping[Any, Any]


def build(studio: Studio, models: Sequence[str], *, any_model: bool) -> gr.Blocks:
    """The page and all that happens on it, ready to be launched."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(_EVERY, _KEPT)) as app:
        given, shown = lay_out(models, any_model=any_model)
        _Events(studio, given, shown).wire(app)
    app.queue(max_size=_QUEUE, default_concurrency_limit=1)
    return app


class _Events:
    """What each of them does. look, left_out: the picture that is shown, and which of its faces are left out; choices:
    what was chosen in others, by their path; results: of the last run; word: what is said of cancelling.
    """

    def __init__(self, studio: Studio, given: Given, shown: Shown) -> None:
        self._studio, self._given, self._shown = studio, given, shown
        self._visitors = Visitors()
        self._look, self._left_out = gr.State(), gr.State(frozenset())
        self._choices, self._results, self._word = gr.State({}), gr.State(), gr.State()

    def wire(self, app: gr.Blocks) -> None:
        """Ties what happens to the components."""
        given, shown = self._given, self._shown
        choosing = [self._look, self._left_out, self._choices, given.faces, given.painting]
        asked = {given.files, given.which, *given.options.values(), *choosing} - {given.faces}
        given.files.change(self._dropped, asked, [given.which, *choosing])
        given.folder.upload(lambda paths: paths, given.folder, given.files)
        given.which.input(self._turned, asked, choosing)
        finding = [given.options[name] for name in written(Selection) if name in given.options]
        for option in finding:
            # A number that is being typed is none yet.
            ended = [option.submit, option.blur] if isinstance(option, gr.Textbox) else [option.change]
            gr.on(ended, self._turned, asked, choosing, show_progress="hidden")
        given.faces.select(self._clicked, [self._look, self._left_out], [self._left_out, given.faces])
        running = given.go.click(self._asked, queue=False).then(
            self._restored,
            asked | {given.model, given.invert},
            [self._results, *shown.all()],
            concurrency_limit=1,
            trigger_mode="multiple",
            show_progress_on=[shown.said],
        )
        # Whoever waits can stop also where the queue is full; what is said of it goes through the queue.
        stopping = given.stop.click(self._stopped, None, self._word, queue=False, cancels=[running])
        stopping.then(lambda word: gr.Info(word), self._word, concurrency_limit=None)
        shown.result.input(self._compared, [self._results, shown.result], shown.slider)
        app.unload(self._left)

    def _options(self, values: Values) -> RestoreOptions:
        return options_of({name: values[component] for name, component in self._given.options.items()})

    def _dropped(self, values: dict[Any, Any]) -> Values:
        """Looks at the first picture, or goes on with the one that is shown where it is still there."""
        paths = [path for path in everything_in(values[self._given.files] or []) if not is_film(path)]
        before = values[self._look]
        first = before.path if before is not None and before.path in paths else next(iter(paths), None)
        chooser = gr.update(
            choices=[(name, str(path)) for name, path in zip(_told_apart(paths), paths, strict=True)],
            value=None if first is None else str(first),
            visible=len(paths) > 1,
        )
        return {self._given.which: chooser, **self._looked(values, first)}

    def _turned(self, values: dict[Any, Any]) -> Values:
        which = values[self._given.which]
        return self._looked(values, Path(which) if which else None)

    def _looked(self, values: Values, path: Path | None) -> Values:
        """Shows a picture with its faces, as far as they were left out and painted on before."""
        before, choices = values[self._look], self._chosen(values)
        with _telling():
            selection = self._options(values).selection
        if before is not None and (path, selection) == (before.path, before.selection):
            return {self._choices: choices}
        seen, trouble = None, ""
        if path is not None:
            try:
                seen = self._studio.look(path, selection)
            except GPENError as error:
                trouble = named(str(error), [path])
        if seen is None:
            if trouble:
                gr.Warning(trouble)
            hidden = {self._given.faces: gr.update(visible=False), self._given.painting: None}
            return {self._look: None, self._left_out: frozenset(), self._choices: choices, **hidden}
        choice = choices.get(str(path)) or Choice(look=seen)
        out = choice.left_out_of(seen.faces)
        shown: dict[Any, Any] = {self._look: seen, self._left_out: out, self._choices: choices}
        shown[self._given.faces] = gr.update(value=seen.marked(out), visible=True, label=_counted(seen))
        if before is None or before.path != path:
            # (Gradio's editor lays layers that it is given beside a picture of another size than the last; who comes
            # back to a picture paints anew.)
            shown[self._given.painting] = np.asarray(seen.image)
        return shown

    def _chosen(self, values: Values) -> dict[str, Choice]:
        """What was chosen in each picture, that which is shown among them."""
        choices, look = dict(values[self._choices]), values[self._look]
        if look is not None:
            painted = _painted(values[self._given.painting])
            choices[str(look.path)] = Choice(look=look, left_out=values[self._left_out], painted=painted)
        return {path: one for path, one in choices.items() if one.left_out or one.painted is not None}

    def _clicked(self, seen: Look, out: frozenset[int], event: gr.SelectData) -> tuple[frozenset[int], Any]:
        number = seen.face_at(*event.index)
        out = out if number is None else out ^ {number}
        return out, seen.marked(out)

    def _restored(self, values: dict[Any, Any], request: gr.Request, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008
        spared = values[self._given.invert]
        choices = [_sparing(choice) if spared else choice for choice in self._chosen(values).values()]
        with _telling(), self._visitors.working(_page(request)) as (place, stopped):

            def moved(done: float, words: str) -> None:
                if stopped.is_set():
                    raise Cancelled(_STOPPED)
                progress(done, desc=words)

            made = self._studio.restore(
                everything_in(values[self._given.files] or []),
                place,
                model=values[self._given.model],
                options=self._options(values),
                choices=choices,
                progress=moved,
            )
            return self._presented(made)

    def _presented(self, made: Results) -> Values:
        shown, names = self._shown, _told_apart([after for _, after in made.pairs])
        pair = self._studio.pair(*made.pairs[0]) if made.pairs else None
        return {
            self._results: made,
            shown.slider: gr.update(value=pair, visible=bool(made.pairs)),
            shown.film: gr.update(value=str(made.films[0]) if made.films else None, visible=bool(made.films)),
            shown.result: gr.update(
                choices=[(name, index) for index, name in enumerate(names)],
                value=0 if names else None,
                visible=len(names) > 1,
            ),
            shown.said: made.said,
            shown.home: [str(path) for path in made.files],
        }

    def _compared(self, made: Results, index: int) -> Any:
        with _telling():
            return self._studio.pair(*made.pairs[index])

    def _asked(self, request: gr.Request) -> None:
        self._visitors.ask(_page(request))

    def _left(self, request: gr.Request) -> None:
        self._visitors.forget(_page(request))

    def _stopped(self, request: gr.Request) -> str:
        return _STOPPED if self._visitors.stop(_page(request)) else "nothing is being restored"


def _page(request: gr.Request) -> str:
    return str(request.session_hash)


@contextmanager
def _telling() -> Iterator[None]:
    """Says what went wrong on the page, in its one line."""
    try:
        yield
    except GPENError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _counted(seen: Look) -> str:
    """What is said above a picture of how many faces it has."""
    if not seen.faces:
        return "no face found; a lower threshold (More options) finds more"
    return "1 face: click to leave it out" if len(seen.faces) == 1 else f"{len(seen.faces)} faces: click to leave out"


def _told_apart(paths: Sequence[Path]) -> list[str]:
    """The names of files; of several with one name, all but the first get a number."""
    counts: Counter[str] = Counter()
    names = []
    for path in paths:
        counts[path.name] += 1
        names.append(path.name if counts[path.name] == 1 else f"{path.name} ({counts[path.name]})")
    return names


def _painted(value: Any) -> NDArray[np.float32] | None:
    """(H, W) in [0, 1], None where nothing was painted."""
    layers = [] if value is None else value["layers"]
    paint = np.max([layer[..., 3] for layer in layers], axis=0).astype(np.float32) / 255 if layers else None
    return None if paint is None or not paint.any() else paint


def _sparing(choice: Choice) -> Choice:
    """The choice with what was painted turned round."""
    return choice if choice.painted is None else replace(choice, painted=1 - choice.painted)
