"""Many chips through `evaluate` against as many single noisy inferences, in one run.

The shipped network, all noise; the goal is 1.5 times the time of single inferences, and a peak of
memory below 2 GB. Other load disturbs the clock less than it disturbs short measurements: single
inferences are timed before and after the chips, and the mean counts. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import resource
import time

import photonpu
from photonpu.models.zoo import evaluation_set, model_path

SINGLES = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, default=100)
    parser.add_argument("--slices", type=int, default=10)
    arguments = parser.parse_args()
    dataset = photonpu.load_dataset(evaluation_set())[: arguments.slices]
    program = photonpu.compile(model_path("tumour-unet"), calibration=dataset.images[:8])
    session = photonpu.Session(program)
    name = program.inputs[0].name

    def single_s() -> float:
        begin = time.perf_counter()
        for index in range(SINGLES):
            place = index % len(dataset)
            session.run(None, {name: dataset.images[place : place + 1]}, first=place)
        return (time.perf_counter() - begin) / SINGLES

    single_s()
    photonpu.evaluate(program, dataset, chips=1, quiet=True, baseline=False)
    before = single_s()
    begin = time.perf_counter()
    photonpu.evaluate(program, dataset, chips=arguments.chips, baseline=False)
    took = time.perf_counter() - begin
    single = (before + single_s()) / 2
    count = arguments.chips * len(dataset)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{arguments.chips} chips x {len(dataset)} slices: {took:.1f} s")
    print(
        f"  single noisy inference {1000 * single:.1f} ms; {count} of them {count * single:.1f} s"
    )
    print(
        f"  ratio {took / (count * single):.2f} (goal 1.5), peak memory {peak_gb:.2f} GB (goal 2)"
    )


if __name__ == "__main__":
    main()
