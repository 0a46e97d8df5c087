"""Open models against onnxruntime: error of the ideal mesh, tiles, share on the mesh, what is left.

Each model of a folder of ONNX files is compiled for the default machine and run on the inputs kept
beside it. The error is the largest difference to onnxruntime's float32 output, relative to the
largest absolute output.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import photonpu

Feeds = dict[str, NDArray[Any]]

HEADER = ("model", "largest relative error", "tiles", "MACs on the mesh", "left digital")
MULTIPLIES = {"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"}


def main() -> None:
    """Print one row a model, as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", nargs="?", type=Path, default=Path("../shared/assets"))
    parser.add_argument("--machine", default="mzi64-eo")
    parser.add_argument("--only", help="part of the names of the models to run")
    arguments = parser.parse_args()
    print("| " + " | ".join(HEADER) + " |")
    print("|---" * len(HEADER) + "|")
    for path in sorted((arguments.assets / "models").glob("*.onnx")):
        if arguments.only and arguments.only not in path.stem:
            continue
        print("| " + " | ".join(row(path, arguments.machine)) + " |", flush=True)


def row(path: Path, machine: str) -> tuple[str, ...]:
    """Compile and run one model; a model that is refused gets its message for a row."""
    samples = inputs(path)
    try:
        program = photonpu.compile(path, machine, calibration=samples[0], shapes=shapes(samples[0]))
        error = max(relative_error(path, program, feeds) for feeds in samples)
    except photonpu.PhotonpuError as refusal:
        return path.stem, f"refused: {refusal}", "", "", ""
    return (
        path.stem,
        f"{error:.1e}",
        str(len(program.tiles)),
        f"{100 * share_on_mesh(program):.2f} %",
        left_digital(program),
    )


def inputs(path: Path) -> list[Feeds]:
    """Return the inputs that are kept for a model, or the MRI slices for the tumour network."""
    kept = path.parents[1] / "io" / f"{path.stem}.npz"
    if not kept.exists():
        with np.load(path.parents[1] / "mri" / "tumour_test_128.npz") as file:
            slices = file["image"]
        return [{input_name(path): slices[i : i + 1]} for i in range(0, len(slices), 16)]
    samples: dict[str, Feeds] = {}
    with np.load(kept) as file:
        for key in file.files:
            place, name = key.split("/", 1)
            if place.startswith("in"):
                samples.setdefault(place, {})[name] = file[key]
    return list(samples.values())


def input_name(path: Path) -> str:
    """Return the name of the only input of a model."""
    return str(runtime(path).get_inputs()[0].name)


def runtime(path: Path) -> Any:
    """Load a model in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def shapes(feeds: Feeds) -> dict[str, tuple[int, ...]]:
    """Return the shapes that fix every free axis."""
    return {name: value.shape for name, value in feeds.items()}


def relative_error(path: Path, program: photonpu.Program, feeds: Feeds) -> float:
    """Return the largest difference of the ideal mesh to onnxruntime, relative to the largest."""
    wanted = runtime(path).run(None, feeds)
    found = photonpu.Session(program, noise="ideal").run(None, feeds)
    return max(
        float(np.abs(mine - theirs).max() / np.abs(theirs).max())
        for mine, theirs in zip(found, wanted, strict=True)
    )


def share_on_mesh(program: photonpu.Program) -> float:
    """Return the share of multiply-accumulates that run on the mesh."""
    photonic = sum(step.macs for step in program.photonic_steps)
    digital = sum(
        operator.operations // 2
        for step in program.host_steps
        for operator in step.operators
        if operator.op in MULTIPLIES
    )
    return photonic / max(1, photonic + digital)


def left_digital(program: photonpu.Program) -> str:
    """Return the operators that stay digital, with their number."""
    counts = Counter(operator.op for step in program.host_steps for operator in step.operators)
    return ", ".join(f"{op} {count}" for op, count in sorted(counts.items())) or "none"


if __name__ == "__main__":
    main()
