"""What it buys to program for one chip and to choose the cores of tiles.

Run it with ``python benchmarks/one_chip.py``.
The network that comes with photonpu, on one drawn chip of the default machine with rougher
splitters and some dead shifters. Errors are of the matrices that the tiles multiply by, all tiles
together; Dice is the mean over some slices of the shipped set, with every noise source on.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

import photonpu
from photonpu.models.datasets import load_dataset
from photonpu.models.zoo import evaluation_set, model_path
from photonpu.program import Program
from photonpu.tables import text_table

WAYS = (
    ("nominal", "nearest", "round-robin"),
    ("local", "nearest", "round-robin"),
    ("local", "nearest", "best"),
    ("local", "absorbed", "round-robin"),
    ("refined", "nearest", "round-robin"),
    ("refined", "nearest", "best"),
    ("refined", "absorbed", "round-robin"),
)


def whole_error(program: Program) -> float:
    """Return the relative error of all tiles together, each by the size of its numbers."""
    made = program.programming
    if made is None:
        return float("nan")
    bank = program.tiles
    size = bank.scale**2 * (np.sin(bank.attenuator / 2.0) ** 2).sum(axis=1)
    return float(np.sqrt(np.sum(size * made.error**2) / np.sum(size)))


def main() -> None:
    """Compile in each way and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--splitter-error", type=float, default=0.05)
    parser.add_argument("--dead", type=float, default=0.0)
    parser.add_argument("--bits", type=int, default=10)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    machine = photonpu.Machine.preset("mzi64-eo").override(
        {
            "mesh.splitter_error_rad": options.splitter_error,
            "phase.dead_share": options.dead,
            "phase.dac_bits": options.bits,
        }
    )
    data = load_dataset(evaluation_set(), limit=options.slices)
    rows = []
    for programming, rounding, assignment in WAYS:
        start = time.perf_counter()
        program = photonpu.compile(
            model_path("tumour-unet"),
            machine,
            calibration=data.images[:8],
            chip=0,
            programming=programming,
            rounding=rounding,
            assignment=assignment,
        )
        seconds = time.perf_counter() - start
        made = program.programming
        chips = [made.chip] if made is not None else [0]
        score = photonpu.evaluate(program, data, ["dice"], chips, quiet=True)
        dice = score.score("noisy", "dice").mean
        figures = f"{whole_error(program):.4f}", f"{dice:.3f}", f"{seconds:.0f}"
        rows.append([programming, rounding, assignment, *figures])
        print(rows[-1], flush=True)
    names = ["programming", "rounding", "assignment", "error", "Dice", "compiled in s"]
    print(text_table(names, rows, "lllrrr"))


if __name__ == "__main__":
    main()
