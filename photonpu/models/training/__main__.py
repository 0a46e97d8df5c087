"""Repeat the recipe: ``python -m photonpu.models.training --data FILE.npz --out unet.onnx``.

Stop it at any time with Ctrl-C; the same command goes on after the last finished epoch.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from photonpu.errors import PhotonpuError
from photonpu.models.training import anatomy, cheng, synthetic
from photonpu.models.training.export import write_model
from photonpu.models.training.train import Recipe, train

SYNTHETIC_SLICES = {"training": 960, "validation": 32}
SYNTHETIC_SEED = 1


def parser() -> argparse.ArgumentParser:
    """Describe the command line; each number of the recipe is an option."""
    result = argparse.ArgumentParser(
        prog="python -m photonpu.models.training",
        description="Train the tumour U-Net that ships and write it as ONNX.",
    )
    result.add_argument("--data", required=True, help=".npz of Cheng's slices: image, mask, id")
    result.add_argument("--out", required=True, help="the .onnx file to write")
    for field in fields(Recipe):
        name = "--" + field.name.replace("_", "-")
        default = field.default
        kind = int if isinstance(default, int) else float
        result.add_argument(name, type=kind, default=default, help=f"default {default}")
    return result


def draw_synthetic() -> dict[str, cheng.Slices]:
    """Draw the synthetic training and validation slices, away from the evaluation's bands."""
    template = anatomy.load_template()
    return {
        part: synthetic.draw_slices(template, count, SYNTHETIC_SEED + order, evaluation=False)
        for order, (part, count) in enumerate(SYNTHETIC_SLICES.items())
    }


def main(arguments: list[str]) -> int:
    """Train, export and say where the file is; 1 if something is wrong, 130 if stopped."""
    options = parser().parse_args(arguments)
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    out = Path(options.out)
    checkpoint = out.with_suffix(".checkpoint")

    def report(line: str) -> None:
        sys.stderr.write(line + "\n")

    try:
        parts = cheng.read_slices(options.data)
        report(", ".join(f"{len(part)} {name} slices" for name, part in parts.items()))
        report(f"drawing {sum(SYNTHETIC_SLICES.values())} synthetic slices")
        training = train(recipe, parts, draw_synthetic(), checkpoint, report)
        write_model(out, training)
    except (PhotonpuError, ImportError) as error:
        report(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        report(f"stopped; the same command goes on from {checkpoint}")
        return 130
    report(f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
