"""``photonpu demo``: the whole road, from the shipped U-Net to accuracy, latency and energy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from photonpu.cli import options
from photonpu.cli.output import emit, make_folder, to_json, write_file
from photonpu.cli.simulate import draw
from photonpu.cli.summary import describe, describe_text
from photonpu.tables import engineering, text_table

if TYPE_CHECKING:
    from photonpu.simulator import Estimate
    from photonpu.sweep import Study

MODEL = "tumour-unet"
CHIPS = 3
SWEPT = {"phase.error_rad": (0.002, 0.01, 0.03)}
SWEPT_SAMPLES = 8
HONESTY = (
    "The lesions are synthetic, drawn on an average anatomy: these numbers say what the machine\n"
    "does to the network's answers, not how well it finds tumours. This is no medical device."
)


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the program, tables and pictures.")
    ] = Path("photonpu-demo"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Walk the whole road with the shipped U-Net.

    Compiles it, simulates three chips, estimates its cost, sweeps the phase error, draws masks.
    """
    from photonpu.cli.inputs import CALIBRATION_SAMPLES
    from photonpu.compiler import compile
    from photonpu.models.datasets import load_dataset
    from photonpu.models.evaluation import evaluate
    from photonpu.models.zoo import evaluation_set, model_path
    from photonpu.simulator import estimate

    begin = time.perf_counter()
    say = _silent if as_json else typer.echo
    make_folder(out)
    dataset = load_dataset(evaluation_set())
    say(f"1. Compile {MODEL}, calibrated on {CALIBRATION_SAMPLES} images\n")
    program = compile(model_path(MODEL), calibration=dataset.images[:CALIBRATION_SAMPLES])
    program.save(out / f"{MODEL}.ppu")
    say(describe_text(program))

    say(f"\n2. Simulate {len(dataset)} slices on {CHIPS} chips\n\n{HONESTY}\n")
    evaluation = evaluate(
        program, dataset, chips=CHIPS, reference=model_path(MODEL), quiet=quiet, keep_masks=True
    )
    picture = draw(out, dataset, evaluation, headline="synthetic lesions; chip 0")
    say(evaluation.table())

    say("\n3. Estimate one slice\n")
    cost = estimate(program)
    say(_cost_text(cost))
    say(f"\nlayer by layer: photonpu estimate {out / MODEL}.ppu")

    say(f"\n4. Sweep the phase error; {SWEPT_SAMPLES} slices, 1 chip\n")
    study = _sweep(out, quiet)
    say(study.table())

    seconds = time.perf_counter() - begin
    results = {
        "note": " ".join(HONESTY.split()),
        "program": describe(program),
        "evaluation": evaluation.to_dict(),
        "estimate": cost.to_dict(),
        "sweep": study.to_dict(),
        "seconds": round(seconds, 1),
    }
    write_file(out / "results.json", to_json(results).encode() + b"\n")
    say(f"\n{seconds:.0f} s; pictures in {picture}, numbers in {out / 'results.json'}")
    if as_json:
        emit(results, "", as_json=True)


def _cost_text(cost: Estimate) -> str:
    """Return totals and the shares of their components, the largest first."""
    total = (
        f"{engineering(cost.latency_s, 's')}, {engineering(cost.energy_j, 'J')}, "
        f"{engineering(cost.power_w, 'W')}, {cost.area_mm2:.3g} mm²"
    )
    rows = [
        [title, name, engineering(value, unit), f"{value / sum(parts.values()):.1%}"]
        for title, parts, unit in (
            ("latency", cost.latency, "s"),
            ("energy", cost.components, "J"),
        )
        for name, value in sorted(parts.items(), key=lambda item: -item[1])
        if value > 0
    ]
    return f"{total}\n\n{text_table(['', 'component', 'value', 'share'], rows, 'llrr')}"


def _sweep(out: Path, quiet: bool) -> Study:
    """Return the demo's sweep; its store and its CSV are in `out`."""
    from photonpu.models.datasets import load_dataset
    from photonpu.models.zoo import evaluation_set, model_path
    from photonpu.sweep.runner import sweep

    study = sweep(
        model_path(MODEL),
        "mzi64-eo",
        SWEPT,
        dataset=load_dataset(evaluation_set(), limit=SWEPT_SAMPLES),
        chips=1,
        store=out / "sweep.sqlite",
        quiet=quiet,
    )
    study.to_csv(out / "sweep.csv")
    return study


def _silent(text: str) -> None:
    """Say nothing: stdout is for JSON."""
