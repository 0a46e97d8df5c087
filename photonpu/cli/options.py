"""Arguments and options that several verbs have, said once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

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
CalibrationMethod = Annotated[
    str,
    typer.Option(
        metavar="max|percentile[:P]|mse",
        help="How ranges follow from the samples: nothing is clipped; P % of them are not (99.99 "
        "if nobody says); the least squared error of rounding and clipping.",
    ),
]
CalibrationPer = Annotated[
    str,
    typer.Option(
        metavar="tile|row|layer", help="What has an ADC range of its own; a row is an output port."
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        "--memory",
        min=1,
        metavar="MB",
        help="What program and tensors may take; large ones then go through in pieces, with the "
        "same results.  [default: three quarters of the machine's]",
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
ChipFile = Annotated[
    str | None,
    typer.Option(
        "--chip",
        metavar="FILE_OR_SEED",
        help="Program for one measured chip: an .npz file, a .csv table, or the seed of a drawn "
        "one.",
    ),
]
Programming = Annotated[
    str,
    typer.Option(
        metavar="nominal|local|refined|self-configured",
        help="How phases make up for the errors of --chip.",
    ),
]
Rounding = Annotated[
    str,
    typer.Option(
        metavar="nearest|absorbed",
        help="How phases for --chip are rounded; absorbed: later columns make up for earlier ones.",
    ),
]
Assignment = Annotated[
    str,
    typer.Option(metavar="round-robin|best", help="Which tile runs on which core of --chip."),
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
        metavar="full|quantised|ideal|NAME,NAME=STRENGTH",
        help="Which effects to simulate; names are those of photonpu.simulator.noise.",
    ),
]
Sampling = Annotated[
    str,
    typer.Option(metavar="exact|fast|merged", help="How the noise of detectors is drawn."),
]
Metrics = Annotated[str, typer.Option(metavar="NAME,NAME", help="What to measure.")]
Threshold = Annotated[
    float, typer.Option(help="The mask is where the output exceeds this; 0 for a logit.")
]
Json = Annotated[bool, typer.Option("--json", help="Write the results as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a model's file is read, by the options that `reads_models` gives a verb.

    Attributes
    ----------
    trust
        Whether to read it in this process instead of in a child process of bounded means.
    limits
        Fields of `photonpu.compiler.untrusted.limits.Limits` that are not to be their defaults.
    """

    trust: bool
    limits: Mapping[str, float]


class LimitOption(NamedTuple):
    """An option for one field of `Limits` of untrusted models; `unit` of it count as 1."""

    field: str
    name: str
    unit: int
    metavar: str
    default: str
    help: str


#: Said here again, since that module is slow to import: a test holds the two to be the same.
LIMIT_OPTIONS = (
    LimitOption("seconds", "max_seconds", 1, "S", "20", "takes longer to read and check"),
    LimitOption("memory_bytes", "max_memory_gb", 2**30, "GB", "8", "takes more memory for that"),
    LimitOption("file_bytes", "max_file_gb", 2**30, "GB", "2", "is a larger file"),
    LimitOption("nodes", "max_nodes", 1, "N", "50000", "has more operators, subgraphs included"),
    LimitOption("depth", "max_depth", 1, "N", "16", "nests subgraphs and functions deeper"),
    LimitOption("elements", "max_elements", 1, "N", "1073741824", "has a larger tensor"),
    LimitOption("total_bytes", "max_total_gb", 2**30, "GB", "32", "has more tensors"),
    LimitOption("folded_bytes", "max_folded_gb", 2**30, "GB", "2", "computes more from constants"),
    LimitOption("iterations", "max_iterations", 1, "N", "100000", "has loops of more iterations"),
)
_TRUST = Annotated[
    bool,
    typer.Option(
        "--trust", help="Read MODEL in this process, not in a child process of bounded means."
    ),
]


def reads_models(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb --trust and the limits as options; it gets them as one `reading`."""
    signature = inspect.signature(verb, eval_str=True)
    own = [entry for name, entry in signature.parameters.items() if name != "reading"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter("trust", keyword, default=False, annotation=_TRUST)]
    for option in LIMIT_OPTIONS:
        told = f"Refuse MODEL if it {option.help}.  [default: {option.default}]"
        shown = typer.Option(metavar=option.metavar, help=told)
        number: Any = Annotated[float | None, shown]
        if option.metavar == "N":
            number = Annotated[int | None, shown]
        added.append(inspect.Parameter(option.name, keyword, default=None, annotation=number))

    @functools.wraps(verb)
    def run(**given: Any) -> None:
        values = {option: given.pop(option.name) for option in LIMIT_OPTIONS}
        limits = {
            option.field: value if option.unit == 1 else int(value * option.unit)
            for option, value in values.items()
            if value is not None
        }
        trust = given.pop("trust")
        verb(**given, reading=Reading(trust, limits))

    run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {entry.name: entry.annotation for entry in (*own, *added)}
    return run
