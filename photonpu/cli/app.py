"""The verbs in one application, and what their errors become: one line and an exit code.

Modules of verbs import what is heavy inside their functions, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from photonpu.cli import INTERRUPTED, STOPPED
from photonpu.cli import check as check_verb
from photonpu.cli import compile as compile_verb
from photonpu.cli import demo as demo_verb
from photonpu.cli import estimate as estimate_verb
from photonpu.cli import export as export_verb
from photonpu.cli import machine as machine_verb
from photonpu.cli import models as models_verb
from photonpu.cli import ops as ops_verb
from photonpu.cli import simulate as simulate_verb
from photonpu.cli import sweep as sweep_verb
from photonpu.cli.interrupts import as_interrupts
from photonpu.errors import PhotonpuError, UnsupportedModelError
from photonpu.tables import printable

ERROR, UNSUPPORTED = 1, 3


class Verbs(TyperGroup):
    """A group of verbs that turns errors into a line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; `PhotonpuError` ends in 1 or 3, Ctrl-C in 130, a bug in its traceback."""
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = _tell
            try:
                with as_interrupts():
                    return super().invoke(ctx)
            except PhotonpuError as error:
                typer.echo(f"error: {_lines(error)}", err=True)
                unsupported = isinstance(error, UnsupportedModelError)
                raise typer.Exit(UNSUPPORTED if unsupported else ERROR) from None
            except KeyboardInterrupt:
                typer.echo(STOPPED, err=True)
                raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Verbs,
    name="photonpu",
    help="Compile ONNX networks for meshes of Mach-Zehnder interferometers; "
    "simulate accuracy, latency and energy.",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 model not supported, "
    "4 a requested bound was missed, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("check")(check_verb.check)
app.command("compile")(compile_verb.compile_model)
app.command("simulate")(simulate_verb.simulate)
app.command("estimate")(estimate_verb.estimate_cost)
app.command("export")(export_verb.export_phases)
app.command("sweep")(sweep_verb.sweep_machines)
app.add_typer(machine_verb.app, name="machine")
app.command("ops")(ops_verb.list_operators)
app.add_typer(models_verb.app, name="models")
app.command("demo")(demo_verb.demo)


def _version(asked: bool) -> None:
    if asked:
        import photonpu

        typer.echo(f"photonpu {photonpu.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def _lines(message: object) -> str:
    """Return a message whose names from files can do nothing to a terminal."""
    return "\n".join(printable(line) for line in str(message).split("\n"))


def _tell(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as one line, without the place in the source that it came from."""
    print(f"warning: {_lines(message)}", file=file or sys.stderr)
