"""The tumour network quantised by onnxruntime: masks on the mesh against onnxruntime's own.

The shipped network is quantised in each of onnxruntime's ways, calibrated on every fourth slice of
the shipped evaluation set, compiled for the default machine, and run on all slices: on ideal
hardware, on one noisy chip, and by onnxruntime as the file means it, without fusion.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization

import photonpu
from photonpu.cli.summary import mac_share
from photonpu.models import zoo
from photonpu.models.datasets import load_dataset

Floats = NDArray[np.float32]

HEADER = (
    *("quantised as", "MACs on the mesh", "pixels unlike onnxruntime's", "Dice of the masks"),
    *("Dice onnxruntime", "ideal", "noisy", "latency", "energy"),
)
STATIC = {
    "activation_type": quantization.QuantType.QUInt8,
    "weight_type": quantization.QuantType.QInt8,
    "reduce_range": True,  # what processors without VNNI need to add exactly
}


def main() -> None:
    """Print one row a way of quantising, as a Markdown table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    dataset = load_dataset(zoo.evaluation_set())
    images, masks = dataset.images, dataset.masks
    print("| " + " | ".join(HEADER) + " |")
    print("|---" * len(HEADER) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in quantised(Path(folder), images):
            print(f"| {name} | " + " | ".join(row(path, images, masks)) + " |", flush=True)


def quantised(folder: Path, images: Floats) -> list[tuple[str, Path]]:
    """Write the network in every way and return the files by what they are."""
    source, found = zoo.model_path("tumour-unet"), []
    for style in quantization.QuantFormat:
        for per_channel in (False, True):
            target = folder / f"{style.name}-{per_channel}.onnx"
            reader = Reader(images[::4])
            quantization.quantize_static(
                source, target, reader, quant_format=style, per_channel=per_channel, **STATIC
            )
            found.append((f"{style.name}, by {'channel' if per_channel else 'tensor'}", target))
    target = folder / "dynamic.onnx"
    kind = quantization.QuantType.QUInt8
    quantization.quantize_dynamic(source, target, weight_type=kind)
    return [*found, ("dynamic", target)]


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hand images over one by one."""

    def __init__(self, images: Floats) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next image, None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def row(path: Path, images: Floats, masks: NDArray[np.bool_]) -> tuple[str, ...]:
    """Compile and run one file."""
    program = photonpu.compile(path, calibration=images[:8])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    theirs = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    ideal = photonpu.Session(program, noise="ideal")
    noisy = photonpu.Session(program, noise="full", chip=0)
    # One slice at a time: what is quantised at run time depends on the whole batch.
    one, two, three = (
        np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])[:, 0]
        > 0.5
        for session in (theirs, ideal, noisy)
    )
    cost = photonpu.estimate(program)
    return (
        f"{100 * mac_share(program):.0f} %",
        f"{int((one != two).sum())} of {one.size}",
        f"{mean_dice(two, one):.4f}",
        *(f"{mean_dice(found, masks):.3f}" for found in (one, two, three)),
        f"{cost.latency_s * 1e6:.1f} us",
        f"{cost.energy_j * 1e6:.0f} uJ",
    )


def mean_dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the mean Dice over slices whose truth holds anything."""
    pairs = [(f, t) for f, t in zip(found, truth, strict=True) if t.any()]
    return float(np.mean([2 * (f & t).sum() / (f.sum() + t.sum()) for f, t in pairs]))


if __name__ == "__main__":
    main()
