"""Tumour segmentation on MRI slices: float, ideal and noisy Dice over chips; latency and energy.

The defaults are the shipped network, the shipped (synthetic) evaluation set and the default
machine. Give the path of a dataset of your own, such as real slices, for figures that matter.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import photonpu
from photonpu.models import zoo
from photonpu.simulator import Estimate


def main() -> None:
    """Print accuracy, then latency, energy and area with the share of each component."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", nargs="?", type=Path, default=zoo.evaluation_set())
    parser.add_argument("--model", type=Path, default=zoo.model_path("tumour-unet"))
    parser.add_argument("--machine", default="mzi64-eo")
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64], help="of the estimates")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--noise", default="full")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()

    machine = photonpu.Machine.preset(arguments.machine)
    machine = machine.override(dict(text.split("=", 1) for text in arguments.set))
    dataset = photonpu.load_dataset(arguments.dataset)
    calibration = photonpu.load_dataset(zoo.evaluation_set()).images
    program = photonpu.compile(arguments.model, machine, calibration=calibration)
    found = photonpu.evaluate(
        program,
        dataset,
        chips=arguments.chips,
        noise=arguments.noise,
        reference=arguments.model,
        threshold=arguments.threshold,
    )
    print(f"{len(dataset)} slices of {dataset.name}, {arguments.chips} chips of {machine.name}\n")
    print(found.table())
    for batch in arguments.batch:
        report(photonpu.estimate(program, batch=batch), batch)


def report(cost: Estimate, batch: int) -> None:
    """Print what one batch costs, for each of its slices."""
    print(f"\nbatch {batch}, a slice: {cost.latency_s / batch * 1e6:.1f} us", end=", ")
    print(f"{cost.energy_j / batch * 1e6:.1f} uJ; {cost.area_mm2:.0f} mm2, {cost.power_w:.2f} W")
    print("  latency: " + shares(cost.latency))
    print("  energy:  " + shares(cost.components))
    print("  area:    " + shares(cost.area))


def shares(parts: Mapping[str, float]) -> str:
    """Return the parts of a sum in percent, largest first."""
    total = sum(parts.values()) or 1.0
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {100 * value / total:.1f} %" for name, value in ordered if value)


if __name__ == "__main__":
    main()
