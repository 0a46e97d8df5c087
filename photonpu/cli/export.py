"""``photonpu export``: the phases of a program, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_phases(
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="A compiled .ppu file.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="json|csv|sax|perceval|strawberryfields", help="What to write."
        ),
    ] = "json",
    tile: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Write this tile alone; may be repeated.  [default: all]"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; else to stdout."),
    ] = None,
) -> None:
    """Write the phases of a program for other tools.

    The file says its convention. JSON and CSV hold all tiles; a netlist for SAX and the lists of
    gates for Perceval and Strawberry Fields hold one.
    """
    from photonpu.cli.output import note, write_file
    from photonpu.errors import ProgramError
    from photonpu.program import Program
    from photonpu.program.exports import export

    if not Path(program).is_file():
        raise ProgramError(f"'{program}': no such file; `photonpu compile` makes one")
    text = export(Program.load(program), form, tile or None)
    if output is None:
        typer.echo(text)
    else:
        write_file(output, text.encode())
        note(f"wrote {output}")
