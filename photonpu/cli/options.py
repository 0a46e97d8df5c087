"""Arguments and options that several verbs have, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="An .onnx file, or a name from `photonpu models`."),
]
ModelOrProgram = Annotated[
    str,
    typer.Argument(
        metavar="MODEL_OR_PROGRAM",
        help="An .onnx file, a compiled .ppu file, or a name from `photonpu models`.",
    ),
]
MachineName = Annotated[
    str | None,
    typer.Option(
        "--machine",
        metavar="NAME_OR_TOML",
        help="A preset from `photonpu machine list`, or a TOML file.  [default: mzi64-eo]",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one value of the machine, as in mesh.ports=32; may be repeated.",
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        metavar="NPZ",
        help="Sample inputs by the model's input names, to set the ranges of the converters.",
    ),
]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="NAME=SHAPE",
        help="Shape of an input with free axes, as in x=1x1x128x128; may be repeated.",
    ),
]
KeepDigital = Annotated[
    list[str] | None,
    typer.Option(
        "--keep-digital",
        metavar="NODE",
        help="Keep this node off the mesh; a name or a pattern as 'decoder/*'; may be repeated.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NODE",
        help="Put nothing on the mesh but this node; a name or a pattern; may be repeated.",
    ),
]
ActivationProducts = Annotated[
    str,
    typer.Option(
        "--activation-products",
        metavar="digital|mesh",
        help="Where products of two activations run, as in attention; on the mesh they are "
        "programmed anew for each sample.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="DATASET",
        help="Images with masks: an .npz file or a folder; 'shipped' is the evaluation set "
        "that comes with photonpu.",
    ),
]
Size = Annotated[
    int | None, typer.Option(min=1, metavar="PIXELS", help="Resize the images to this square.")
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Use N samples, evenly spaced over the dataset."),
]
Chips = Annotated[int, typer.Option(min=1, help="How many fabricated instances to simulate.")]
Seed = Annotated[int, typer.Option(min=0, help="Key of the noise from shot to shot.")]
Noise = Annotated[
    str,
    typer.Option(
        metavar="full|quantised|ideal|NAME,NAME",
        help="Which effects to simulate; names are those of photonpu.simulator.noise.",
    ),
]
Metrics = Annotated[str, typer.Option(metavar="NAME,NAME", help="What to measure.")]
Threshold = Annotated[
    float, typer.Option(help="The mask is where the output exceeds this; 0 for a logit.")
]
Json = Annotated[bool, typer.Option("--json", help="Write the results as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
