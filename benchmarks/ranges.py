"""What rules of calibration make of the converters' bits.

Run it with ``python benchmarks/ranges.py``.
The network that comes with photonpu, calibrated on eight slices of the shipped set and run on four
others with the converters alone. Errors are relative to the float network: each layer's own, given
the float network's input (geometric mean over the layers, and the worst), and that of the output.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import photonpu
from photonpu.models.datasets import load_dataset
from photonpu.models.zoo import evaluation_set, model_path
from photonpu.simulator.trace import Trace
from photonpu.tables import text_table

METHODS = ("max", "percentile:99.9", "percentile:99.99", "mse")
CALIBRATED, TESTED = slice(0, 8), slice(8, 12)


def main() -> None:
    """Compile by each rule and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, nargs="+", default=[5, 8], help="of the ADCs")
    options = parser.parse_args()
    images = load_dataset(evaluation_set()).images
    rows = []
    for bits in options.bits:
        machine = photonpu.Machine.preset("mzi64-eo").override({"converters.adc_bits": bits})
        for per in ("layer", "tile", "row"):
            for method in METHODS:
                begin = time.process_time()
                program = photonpu.compile(
                    model_path("tumour-unet"),
                    machine,
                    calibration=images[CALIBRATED],
                    calibration_method=method,
                    calibration_per=per,
                )
                seconds = time.process_time() - begin
                trace = Trace()
                session = photonpu.Session(program, "quantised")
                session.run(None, {program.inputs[0].name: images[TESTED]}, trace=trace)
                own = [layer.own for layer in trace.layers]
                clipped = np.mean([layer.adc_clipped or 0.0 for layer in trace.layers])
                errors = np.exp(np.mean(np.log(own))), max(own), *trace.outputs.values()
                numbers = *(f"{error:.3f}" for error in errors), f"{1e6 * clipped:.0f}"
                rows.append([str(bits), per, method, *numbers, f"{seconds:.2f}"])
    header = ["ADC bits", "per", "method", "layers' own error", "worst", "output"]
    print(text_table([*header, "clipped, ppm", "compile, CPU s"], rows, "rll" + "r" * 5))


if __name__ == "__main__":
    main()
