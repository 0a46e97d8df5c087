"""``photonpu models``: the networks that come with photonpu."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photonpu.cli import options
from photonpu.cli.output import emit, write_file

app = typer.Typer(help="List the networks that come along.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from `photonpu models`.")]


@app.callback(invoke_without_command=True)
def list_models(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List the networks that come with photonpu, or write one as ONNX."""
    if ctx.invoked_subcommand is not None:
        return
    from photonpu.models.zoo import MODELS
    from photonpu.tables import text_table

    records = [
        {
            "name": name,
            "shipped": entry.file is not None,
            "licence": entry.licence,
            "summary": entry.summary,
        }
        for name, entry in MODELS.items()
    ]
    rows = [
        [item["name"], "yes" if item["shipped"] else "no", item["licence"], item["summary"]]
        for item in records
    ]
    emit(records, text_table(["name", "trained", "licence", "what"], rows, "llll"), as_json=as_json)


@app.command("path")
def show_path(name: Name, as_json: options.Json = False) -> None:
    """Show where the file of a shipped network is."""
    from photonpu.models.zoo import model_path

    path = model_path(name)
    emit({"name": name, "path": path}, str(path), as_json=as_json)


@app.command("export")
def export(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .onnx file to write.")],
    as_json: options.Json = False,
) -> None:
    """Write a network as an ONNX file."""
    from photonpu.models.zoo import build

    model = build(name).SerializeToString(deterministic=True)
    write_file(file, model)
    emit({"name": name, "path": file, "bytes": len(model)}, f"written to {file}", as_json=as_json)
