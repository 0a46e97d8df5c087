"""Write a trained network as ONNX, with where it comes from in the file's own metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from photonpu.models.training.network import to_numpy
from photonpu.models.training.train import Training
from photonpu.models.unet import to_onnx
from photonpu.storage import atomic_write

SIDE = 128


def write_model(path: Path, training: Training) -> None:
    """Write the moving average of the weights, which is the network that ships.

    Parameters
    ----------
    path : Path
    training : Training

    Raises
    ------
    StorageError
        If it cannot be written; a file that was there before stays.
    """
    model = to_onnx(
        training.size, to_numpy(training.average), name="tumour-unet", height=SIDE, width=SIDE
    )
    notes = {
        "input": "one T1 contrast-enhanced slice, standardised by preprocess.zscore",
        "output": "probability of tumour in each pixel; mask = output > 0.5",
        "recipe": json.dumps(asdict(training.recipe), sort_keys=True),
        "license": "Apache-2.0",
        "use": "research; not a medical device",
    }
    for key, value in notes.items():
        model.metadata_props.add(key=key, value=value)

    def write(file: BinaryIO) -> None:
        file.write(model.SerializeToString(deterministic=True))

    atomic_write(path, write)
