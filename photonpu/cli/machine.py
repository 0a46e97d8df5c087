"""``photonpu machine``: the machines that ship, their values, and checks of a user's file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from photonpu.cli import options
from photonpu.cli.output import emit

app = typer.Typer(help="Show and check machines.", no_args_is_help=True)


@app.command("list")
def list_machines(as_json: options.Json = False) -> None:
    """List the machines that ship."""
    from photonpu.hardware import Machine
    from photonpu.tables import text_table

    machines = [Machine.preset(name) for name in Machine.presets()]
    records = [
        {
            "name": machine.name,
            "cores": machine.cores,
            "ports": machine.mesh.ports,
            "clock_ghz": machine.clock_ghz,
            "description": machine.description,
        }
        for machine in machines
    ]
    rows = [list(record.values()) for record in records]
    table = text_table(["name", "cores", "ports", "GHz", "description"], rows, "lrrrl")
    emit(records, table, as_json=as_json)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_TOML", help="A preset, or a TOML file.")],
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Show all values of a machine as TOML, with their sources."""
    from photonpu.cli.inputs import read_machine

    machine = read_machine(name, settings)
    values = {"values": machine.values(), "sources": machine.sources}
    emit(values, machine.to_toml().rstrip("\n"), as_json=as_json)


@app.command("fields")
def fields(as_json: options.Json = False) -> None:
    """List every key that a machine has: for TOML files, --set and --vary."""
    from dataclasses import asdict

    from photonpu.hardware import Machine
    from photonpu.tables import text_table

    parameters = Machine.fields()
    rows = [
        [item.path, item.type, item.default, item.unit, item.description]
        for item in parameters
        if item.path not in ("name", "description")
    ]
    table = text_table(["key", "type", "default", "unit", "what"], rows, "lllll")
    emit([asdict(item) for item in parameters], table, as_json=as_json)


@app.command("draw")
def draw(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME_OR_TOML", help="A preset, or a TOML file.")
    ] = None,
    settings: options.Settings = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to draw: .svg or .png."),
    ] = None,
) -> None:
    """Draw one mesh of a machine, by default as mesh.svg in the current folder."""
    from photonpu.cli.inputs import read_machine
    from photonpu.cli.output import note
    from photonpu.report.drawing import draw_mesh

    mesh = read_machine(name, settings).mesh
    file = output or Path("mesh.svg")
    draw_mesh(mesh.topology, mesh.ports).save(file)
    note(f"drew {mesh.topology} of {mesh.ports} ports: {file}")


@app.command("meshes")
def list_meshes(
    ports: Annotated[int, typer.Option(min=2, max=512, help="Waveguides of each mesh.")] = 64,
    mzi_loss_db: Annotated[
        float, typer.Option(min=0.0, help="Insertion loss of one interferometer.")
    ] = 0.2,
    as_json: options.Json = False,
) -> None:
    """List the topologies that a mesh can have, with their parts and losses."""
    from photonpu.hardware.topologies import SIZES
    from photonpu.mesh import MESHES
    from photonpu.tables import text_table

    records: list[dict[str, Any]] = []
    for name, mesh in MESHES.items():
        if SIZES[name].power_of_two and ports & (ports - 1):
            continue
        counts = mesh.counts(ports)
        records.append(
            {
                "name": name,
                "mzis": counts.mzis,
                "shifters": counts.shifters,
                "depth": counts.depth,
                "path": [counts.path_min, counts.path_mean, counts.path_max],
                "loss_db": list(counts.loss_db(mzi_loss_db)),
                "universal": mesh.universal,
                "real": mesh.real,
                "what": mesh.summary,
                "source": mesh.source,
            }
        )
    rows = [
        [
            record["name"],
            record["mzis"],
            record["shifters"],
            record["depth"],
            " / ".join(f"{value:.4g}" for value in record["path"]),
            " / ".join(f"{value:.3g}" for value in record["loss_db"]),
            "of real" if record["real"] else "yes" if record["universal"] else "no",
            record["what"],
        ]
        for record in records
    ]
    header = ["name", "MZIs", "shifters", "depth", "path", "dB", "universal", "what it is"]
    emit(records, text_table(header, rows, "lrrrrrll"), as_json=as_json)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A machine's TOML file.")],
    as_json: options.Json = False,
) -> None:
    """Read a machine's file, with its link budget, and say whether all of it holds."""
    from photonpu.hardware import LinkBudget, Machine

    machine = Machine.load(file)
    budget = LinkBudget.of(machine)
    values = {
        "name": machine.name,
        "path_loss_db": budget.path_loss_db,
        "laser_power_w": budget.laser_power_w,
    }
    text = (
        f"{file}: machine '{machine.name}' holds; {budget.path_loss_db:.1f} dB on the longest "
        f"path, {1e3 * budget.laser_power_w:.3g} mW of light for each core"
    )
    emit(values, text, as_json=as_json)
