"""The `gpen` command: finds the verb, loads only that verb's module, and turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol, TextIO

from .. import __version__
from ..errors import GPENError
from ..fields import nearest

# Verb → what stands in `gpen --help`. Each is a module of this package, imported only when it is used.
VERBS = {
    "restore": "restore the faces in pictures, folders and films",
    "bulk": "restore archives of pictures on Ray, here or on a cluster",
    "app": "restore in the browser: drop, click, compare",
    "serve": "restore pictures over HTTP, for other programs",
    "detect": "find faces and draw their boxes and landmarks",
    "colorize": "colour grey faces",
    "inpaint": "fill the parts of a face that are painted white",
    "synthesize": "make a face from a map of its regions",
    "models": "list the known models, fetch one",
    "info": "say what a file of weights holds",
    "convert": "write a self-describing safetensors file",
    "export": "write a model as other programs run it: ONNX, AOTInductor",
    "verify": "certify a model: its errors in each form and precision",
    "bench": "measure speed and memory",
    "train": "train a network by a recipe",
    "personal": "fine-tune a model on photographs of one person",
    "degrade": "degrade pictures as training does",
    "evaluate": "judge restored pictures, beside their originals or alone",
    "compare": "several models on the same faces: one table, one sheet",
    "publish": "put a model on the Hub, with its card",
    "doctor": "say what this machine has and lacks",
}

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

#: What GNU's OpenMP itself takes where there are more threads than cores.
_SPINS = "1000"


class Verb(Protocol):
    """What a verb's module provides."""

    NAME: str
    HELP: str
    EXAMPLE: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Adds the verb's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """The exit status, after doing the work: 1 where some of it failed."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 1 for what failed, 2 for wrong usage, 130 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    _print_any_name()
    _sleep_while_waiting()
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return OK if words else USAGE
    if words[0] in ("-V", "--version"):
        print(f"gpen {__version__}")
        return OK
    name, rest = words[0], words[1:]
    if name not in available():
        return _fail(_unknown(name), USAGE)
    with warnings.catch_warnings():
        warnings.showwarning = _one_line_warning
        warnings.filterwarnings("ignore", module=r"PIL\.")  # about damaged metadata: the report has notes of it
        logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
        return _run(name, rest)


def _print_any_name() -> None:
    """Lets names that the console has no letters for, or that are no text, be printed as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _sleep_while_waiting() -> None:
    """Lets cores that wait for each other within a network sleep soon; torch must not be loaded yet.

    GNU's OpenMP has them turn round and round for milliseconds. Where something else has one of the cores (what is
    decoded and encoded meanwhile, or another program), a face then takes five times as long as it need.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def available() -> list[str]:
    """The verbs whose module is there."""
    return [name for name in VERBS if importlib.util.find_spec(f"{__package__}.{name}") is not None]


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what it does not understand, with the nearest that it would."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments; ends the program at the first that is empty or unknown."""
        self._refuse_empty(list(args or ()))
        arguments, rest = self.parse_known_args(args, namespace)
        if rest:
            word = rest[0].partition("=")[0]
            near = nearest(word, (flag for action in self._actions for flag in action.option_strings))
            said = f"did you mean {near}?" if near else f"`{self.prog} --help` lists what there is"
            self.error(f"there is no {'option' if word.startswith('-') else 'place for'} {word}; {said}")
        return arguments

    def _refuse_empty(self, words: Sequence[str]) -> None:
        """A path that is empty would be the current folder; a name or number that is, is a slip as well."""
        for before, word in zip(["", *words], words, strict=False):
            if word == "" or (word.startswith("--") and word.endswith("=") and "=" not in word[:-1]):
                where = word[:-1] or before
                what = f"the value of {where}" if where.startswith("-") else "an argument"
                self.error(
                    f"{what} is empty; name a file, a folder or what is meant (is a variable of the shell unset?)"
                )

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        self.exit(USAGE, f"{self.prog}: {message}\n")


def parser_for(verb: Verb) -> argparse.ArgumentParser:
    """The verb's own parser; its help ends with an example."""
    parser = _Parser(
        prog=f"gpen {verb.NAME}",
        description=verb.HELP,
        epilog=f"example:\n  {verb.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.configure(parser)
    return parser


def _run(name: str, words: Sequence[str]) -> int:
    try:
        verb: Verb = importlib.import_module(f"{__package__}.{name}")
        arguments = parser_for(verb).parse_args(words)
        return verb.run(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else OK
    except KeyboardInterrupt:
        return _fail(f"{name}: interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has enough of it (`gpen models | head`).
        sys.stdout = None
        return OK
    except GPENError as error:
        return _fail(f"{name}: {error}", FAILED)
    except OSError as error:
        return _fail(f"{name}: {error}", FAILED)


def _fail(message: str, status: int) -> int:
    print(f"gpen {' '.join(message.split())}", file=sys.stderr)
    return status


def _unknown(name: str) -> str:
    near = nearest(name, VERBS)
    if near == name:
        return f"{name}: this verb is not part of this installation"
    return f"{name}: there is no such verb; " + (f"did you mean {near}?" if near else "`gpen --help` lists them")


def _overview() -> str:
    verbs = "\n".join(f"  {name:<11} {VERBS[name]}" for name in available())
    return (
        "usage: gpen VERB …\n\nRestores faces in photographs and films.\n\n"
        f"{verbs}\n\n`gpen VERB --help` tells more, with an example; `gpen --version` the version."
    )


def _one_line_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"gpen: warning: {message}", file=file or sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
