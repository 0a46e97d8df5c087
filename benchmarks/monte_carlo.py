"""Many chips through `evaluate` against as many single noisy inferences, in one run.

The shipped network, all noise; the goal is 1.5 times the time of single inferences, and a peak of
memory below 2 GB. Of the single inferences a sample is timed, half of it before the chips and half
after, and the mean counts. The processor's time is told beside the clock's: other load disturbs it
less. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import resource
import time

import photonpu
from photonpu.models.zoo import evaluation_set, model_path

SINGLES = 25
Times = tuple[float, float]


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

    def single_s() -> Times:
        begin = now()
        for index in range(SINGLES):
            place = index % len(dataset)
            session.run(None, {name: dataset.images[place : place + 1]}, first=place)
        clock, cpu = since(begin)
        return clock / SINGLES, cpu / SINGLES

    single_s()
    photonpu.evaluate(program, dataset, chips=1, quiet=True, baseline=False)
    before = single_s()
    begin = now()
    photonpu.evaluate(program, dataset, chips=arguments.chips, baseline=False)
    took = since(begin)
    count = arguments.chips * len(dataset)
    singles = [count * (a + b) / 2 for a, b in zip(before, single_s(), strict=True)]
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{arguments.chips} chips x {len(dataset)} slices, peak memory {peak_gb:.2f} GB (goal 2)")
    for what, chips_s, singles_s in zip(("clock", "processor"), took, singles, strict=True):
        print(
            f"  by the {what}: {chips_s:.1f} s; {count} single noisy inferences {singles_s:.1f} s "
            f"(from {2 * SINGLES}): ratio {chips_s / singles_s:.2f} (goal 1.5)"
        )


def now() -> Times:
    """Return the clock's time and the processor's, s."""
    return time.perf_counter(), time.process_time()


def since(begin: Times) -> Times:
    """Return both times since `begin`, s."""
    clock, cpu = now()
    return clock - begin[0], cpu - begin[1]


if __name__ == "__main__":
    main()
