"""How the command line speaks: errors in red without traceback, our warnings, nobody else's."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Debug", "Overwrite", "console", "messages", "refuse_existing", "table"]

_logger = logging.getLogger(__name__)

console = Console(highlight=False)
if not console.is_terminal:
    console.width = 120  # in a file, nothing is gained by the 80 columns of old terminals
_errors = Console(stderr=True, highlight=False)
_PACKAGE = "pyxem_cnn"
_INTERRUPTED = 130  # the exit code of programs that Ctrl-C ends

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


@contextmanager
def messages(debug: bool, level: int = logging.INFO) -> Iterator[None]:
    """Show errors in one red message and end with exit code 1; show our own warnings and log.

    Ctrl-C ends with exit code 130, and with what was kept and how to go on.

    Parameters
    ----------
    debug
        Whether to let an error through, with its traceback.
    level
        From which level on the package's log is shown.
    """
    try:
        with _our_log(level), _our_warnings():
            yield
    except typer.Exit:
        raise
    except KeyboardInterrupt as error:
        _say(_errors, "Interrupted.", _notes(error), "yellow")
        raise typer.Exit(_INTERRUPTED) from None
    except Exception as error:
        if debug:
            raise
        _say(_errors, "Error:", _in_words(error), "bold red")
        raise typer.Exit(1) from None


def refuse_existing(paths: list[Path], overwrite: bool) -> None:
    """Raise unless none of the paths exists, or they may be overwritten.

    Parameters
    ----------
    paths
        What will be written.
    overwrite
        Whether that is fine.

    Raises
    ------
    FileExistsError
        The message names the first one.
    """
    existing = [path for path in paths if path.exists()]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise FileExistsError(
            f"{existing[0]}{others} exists already. Choose another name, or pass --overwrite."
        )


def table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    """Return a table, its first column to the left and all others to the right.

    Parameters
    ----------
    title
        Above it.
    columns
        Headings.
    rows
        Of texts.
    """
    drawn = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn


def _in_words(error: Exception) -> str:
    """Return the message of an error, with its type where that says more, and its notes."""
    text = str(error)
    if not (isinstance(error, ValueError | TypeError | OSError | ImportError) and text):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{text}\n{_notes(error)}".rstrip()


def _notes(error: BaseException) -> str:
    """Return what was added to an error on its way, such as how to go on."""
    return "\n".join(getattr(error, "__notes__", []))


def _say(to: Console, head: str, text: str, style: str) -> None:
    to.print(Text.assemble((head, style), " ", (text, style.split()[-1])), soft_wrap=True)


@contextmanager
def _our_log(level: int) -> Iterator[None]:
    """Show what the package logs, and not what others log below an error."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            style = "yellow" if record.levelno >= logging.WARNING else "dim"
            _say(_errors, f"{record.levelname.title()}:", record.getMessage(), style)

    logger, handler = logging.getLogger(_PACKAGE), Handler(level)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@contextmanager
def _our_warnings() -> Iterator[None]:
    """Show warnings that our own code raises, and log all others at DEBUG."""

    def show(message: Any, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        if _warned_by().split(".")[0] == _PACKAGE:
            _say(_errors, "Warning:", str(message), "yellow")
        else:
            _logger.debug("%s:%d: %s: %s", filename, lineno, category.__name__, message)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


def _warned_by() -> str:
    """Return the name of the module that called `warnings.warn`, whatever it blames."""
    frame = sys._getframe(1)
    inside = (__name__, "warnings", "_py_warnings")
    while frame.f_back is not None and frame.f_globals.get("__name__") in inside:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))
