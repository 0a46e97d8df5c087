"""``photonpu simulate``: what the machine computes, on a dataset or on arrays."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from photonpu.cli import options
from photonpu.cli.interrupts import as_interrupts
from photonpu.cli.output import emit, make_folder, note, refuse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photonpu.compiler.untrusted.checked import Checked
    from photonpu.models.datasets import Dataset
    from photonpu.models.scores import Evaluation
    from photonpu.simulator import Session

    Arrays = Mapping[str, NDArray[np.generic]]

PICTURED = 6


@options.reads_models
def simulate(
    model: options.ModelOrProgram,
    data: options.Data = None,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", metavar="NPZ", help="Input arrays by name, to run once."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="NPZ", help="Where to write what --input gives."),
    ] = None,
    machine: options.MachineName = None,
    settings: options.Settings = None,
    noise: options.Noise = "full",
    chips: options.Chips = 3,
    chip: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The instance that --input runs on.  [default: the program's, or 0]",
        ),
    ] = None,
    seed: options.Seed = 0,
    sampling: options.Sampling = "exact",
    until_ci: Annotated[
        float | None,
        typer.Option(
            "--until-ci",
            metavar="HALF",
            help="Stop, from the fifth chip on, when the 95 % interval of the first metric's mean "
            "over chips is no wider than this to either side.",
        ),
    ] = None,
    ideal: Annotated[
        bool, typer.Option("--ideal/--no-ideal", help="Score the ideal machine, too.")
    ] = True,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keeps finished chips; the same command goes on there."),
    ] = None,
    metrics: options.Metrics = "dice,iou,hd95",
    threshold: options.Threshold = 0.5,
    size: options.Size = None,
    limit: options.Limit = None,
    calibration: options.Calibration = None,
    calibration_method: options.CalibrationMethod = "max",
    calibration_per: options.CalibrationPer = "tile",
    shape: options.Shapes = None,
    keep_digital: options.KeepDigital = None,
    only: options.Only = None,
    activation_products: options.ActivationProducts = "digital",
    reference: Annotated[
        Path | None,
        typer.Option(metavar="ONNX", help="The float network to compare a .ppu program with."),
    ] = None,
    trace: Annotated[
        bool,
        typer.Option(
            "--trace", help="Show each layer's error, clipping and use of ranges instead."
        ),
    ] = False,
    attribute: Annotated[
        bool,
        typer.Option("--attribute", help="Show which noise source causes how much instead."),
    ] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Draw image, truth and masks of some samples; with --trace, the layers.",
        ),
    ] = None,
    memory: options.Memory = None,
    min_dice: Annotated[
        float | None,
        typer.Option(metavar="DICE", help="Exit code 4 if the noisy mean Dice is below this."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    *,
    reading: options.Reading,
) -> None:
    """Simulate a network on images or arrays.

    With --data its masks are scored against the truth; with --input its outputs are written.
    """
    from photonpu.cli import inputs, tracing
    from photonpu.models.evaluation import evaluate
    from photonpu.models.metrics import METRICS
    from photonpu.simulator import Session
    from photonpu.simulator.receiver import SAMPLINGS

    asked = inputs.names(metrics)
    for name in asked:
        METRICS[name]  # or say at once that there is none
    wrong = {
        "--trace / --attribute": "give one of the two" * (trace and attribute),
        "--pictures": "draws no attribution: leave it out" * bool(pictures and attribute),
        "--data / --input": "give one of the two" * ((data is None) == (input_file is None)),
        "--until-ci": "give half the width of an interval, such as 0.01"
        * (until_ci is not None and not 0 < until_ci < math.inf),
        "--sampling": f"there are {', '.join(SAMPLINGS)}" * (sampling not in SAMPLINGS),
        "--threshold": "give a number" * (not math.isfinite(threshold)),
        "--min-dice": "needs 'dice' in --metrics" * (min_dice is not None and "dice" not in asked),
    }
    for option, message in wrong.items():
        if message:
            raise typer.BadParameter(message, param_hint=option)
    modes = inputs.noises(noise)
    _prepare_places(output, pictures)
    feeds = {} if input_file is None else inputs.read_arrays(input_file)
    dataset = None if data is None else inputs.read_dataset(data, size=size, limit=limit)
    compiles = not model.endswith(".ppu")
    ranges: inputs.Arrays | None = None
    if calibration is not None:
        ranges = inputs.read_arrays(calibration)
    elif dataset is not None and compiles:
        ranges = dataset.images[: inputs.CALIBRATION_SAMPLES]
        note(f"calibrated on {len(ranges)} images of the dataset, not on masks", quiet=quiet)
    shapes = inputs.read_shapes(shape)
    inputs.read_machine(machine, settings)  # what is wrong with it need not wait for the model
    source: str | Checked = model
    if compiles:
        source = inputs.read_model(model, reading, calibration=ranges, shapes=shapes)
    float_network = None if isinstance(source, str) else source
    if reference is not None:
        float_network = inputs.read_model(str(reference), reading)
    program, target = inputs.read_program(
        source,
        machine,
        settings,
        reading,
        calibration=ranges,
        shapes=shapes,
        choice=inputs.read_choice(keep_digital, only, activation_products),
        rule=(calibration_method, calibration_per),
    )
    if dataset is None or trace or attribute:
        session = Session(
            program,
            modes,
            chip,
            seed,
            machine=target,
            sampling=sampling,
            memory_limit_mb=memory,
        )
        given = feeds if dataset is None else tracing.arrays_of(program, dataset)
        if trace or attribute:
            tracing.show(
                session,
                given,
                seed,
                attribute=attribute,
                pictures=pictures,
                quiet=quiet,
                as_json=as_json,
            )
        else:
            _run(session, given, output, as_json)
        return
    with _interruptible(store):
        evaluation = evaluate(
            program,
            dataset,
            asked,
            chips if program.programming is None else [program.programming.chip],
            noise=modes,
            seed=seed,
            machine=target,
            reference=float_network,
            threshold=threshold,
            quiet=quiet,
            keep_masks=pictures is not None,
            sampling=sampling,
            ideal=ideal,
            until_ci=until_ci,
            store=store,
            memory_limit_mb=memory,
        )
    if pictures is not None:
        draw(pictures, dataset, evaluation)
    emit(evaluation.to_dict(), evaluation.table(), as_json=as_json)
    if min_dice is not None:
        dice = evaluation.score("noisy", "dice").mean
        refuse([] if dice >= min_dice else [f"mean Dice {dice:.3f} is below {min_dice:g}"])


def _prepare_places(output: Path | None, pictures: Path | None) -> None:
    """Make sure, before anything is computed, that files can be written where they are to be."""
    from photonpu.storage import check_place

    if output is not None:
        check_place(output)
    if pictures is not None:
        make_folder(pictures)


@contextlib.contextmanager
def _interruptible(store: Path | None) -> Iterator[None]:
    """Say what Ctrl-C leaves."""
    try:
        with as_interrupts():
            yield
    except KeyboardInterrupt:
        text = "with --store FILE finished chips are kept"
        if store is not None:
            text = f"finished chips are in '{store}': the same command goes on from there"
        note(f"interrupted; {text}")
        raise typer.Exit(130) from None


def _run(session: Session, feeds: Arrays, output: Path | None, as_json: bool) -> None:
    """Run a network once, write its outputs, and say what they are."""
    names = [info.name for info in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, feeds), strict=True))
    if output is not None:
        write_arrays(output, outputs)
    emit(_summary(outputs), _summary_text(outputs), as_json=as_json)


def draw(folder: Path, dataset: Dataset, evaluation: Evaluation, headline: str = "") -> Path:
    """Draw image, truth and masks of cases spread evenly over a dataset; return the file.

    Raises
    ------
    StorageError
        The folder or the picture cannot be written.
    """
    from photonpu.report.pictures import panel

    make_folder(folder)
    step = max(1, len(dataset) // PICTURED)
    chosen = slice(step // 2, None, step)
    floats = evaluation.masks.get("float")
    path = folder / "masks.png"
    panel(
        path,
        dataset.raw[chosen][:PICTURED],
        dataset.masks[chosen][:PICTURED],
        None if floats is None else floats[0, chosen][:PICTURED],
        evaluation.masks["noisy"][0, chosen][:PICTURED],
        dataset.ids[chosen][:PICTURED],
        headline=headline,
    )
    return path


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays by name as an ``.npz`` file.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    import numpy as np

    from photonpu.storage import atomic_write

    def write(file: BinaryIO) -> None:
        # np.savez takes names as keywords and has some of its own; these come from a model.
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    atomic_write(path, write)


def _summary(outputs: Arrays) -> dict[str, object]:
    """Return shape, type and range of each output."""
    return {
        name: {
            "shape": array.shape,
            "dtype": str(array.dtype),
            "min": array.min() if array.size else None,
            "max": array.max() if array.size else None,
        }
        for name, array in outputs.items()
    }


def _summary_text(outputs: Arrays) -> str:
    from photonpu.tables import text_table

    rows = [
        [name, "x".join(map(str, array.shape)), array.dtype]
        + ([f"{array.min():.6g}", f"{array.max():.6g}"] if array.size else ["", ""])
        for name, array in outputs.items()
    ]
    return text_table(["output", "shape", "type", "min", "max"], rows, "lllrr")
