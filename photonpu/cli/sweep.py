"""``photonpu sweep``: the same network on every machine of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from photonpu.cli import options
from photonpu.cli.interrupts import as_interrupts
from photonpu.cli.output import emit, note


@options.reads_models
def sweep_machines(
    model: options.Model,
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="KEY=VALUES",
            help="A key of the machine and its values, as in mesh.ports=16,32,64 or "
            "phase.error_rad=0.001:0.02:5; repeat it for a grid.",
        ),
    ],
    data: options.Data = None,
    machine: options.MachineName = None,
    settings: options.Settings = None,
    metrics: options.Metrics = "dice",
    noise: options.Noise = "full",
    chips: options.Chips = 3,
    seed: options.Seed = 0,
    sampling: options.Sampling = "exact",
    threshold: options.Threshold = 0.5,
    size: options.Size = None,
    limit: options.Limit = None,
    calibration_method: options.CalibrationMethod = "max",
    calibration_per: options.CalibrationPer = "tile",
    memory: options.Memory = None,
    store: Annotated[
        Path, typer.Option(metavar="FILE", help="Keeps finished points; a rerun goes on from it.")
    ] = Path("sweep.sqlite"),
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the points as CSV, too.")
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    *,
    reading: options.Reading,
) -> None:
    """Try a network on a grid of machines.

    Each point is estimated, and evaluated if there is --data. A rerun goes on where the last run
    stopped.
    """
    from photonpu.cli.inputs import names, noises, read_dataset, read_machine, read_model
    from photonpu.sweep.runner import CALIBRATION_SAMPLES, sweep
    from photonpu.sweep.space import parse

    if model.endswith(".ppu"):
        raise typer.BadParameter(
            "a sweep compiles for each machine: give the .onnx file", param_hint="MODEL"
        )
    space = parse(vary)
    base = read_machine(machine, settings)
    dataset = None if data is None else read_dataset(data, size=size, limit=limit)
    samples = None if dataset is None else dataset.images[:CALIBRATION_SAMPLES]
    try:
        with as_interrupts():
            study = sweep(
                read_model(model, reading, calibration=samples),
                base,
                space,
                dataset=dataset,
                metrics=names(metrics),
                chips=chips,
                noise=noises(noise),
                seed=seed,
                threshold=threshold,
                sampling=sampling,
                store=store,
                quiet=quiet,
                calibration_method=calibration_method,
                calibration_per=calibration_per,
                memory_limit_mb=memory,
            )
    except KeyboardInterrupt:
        note(f"interrupted; finished points are in '{store}': the same command goes on from there")
        raise typer.Exit(130) from None
    if csv is not None:
        study.to_csv(csv)
    emit(study.to_dict(), study.table(), as_json=as_json)
