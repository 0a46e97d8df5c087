"""photonpu: neural networks on meshes of Mach-Zehnder interferometers.

Compiles ONNX models for a modelled photonic accelerator and simulates inference on it, for
accuracy, latency and energy. The names below are the public ones; they load on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

# onnxruntime opens sockets and writes to the home folder by default since 1.29.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from photonpu.compiler import compile
    from photonpu.errors import PhotonpuError
    from photonpu.hardware import Chip, Machine
    from photonpu.models.datasets import load_dataset
    from photonpu.models.evaluation import evaluate
    from photonpu.program import Program
    from photonpu.simulator import PhotonicMatrix, Session
    from photonpu.simulator.estimate import estimate
    from photonpu.simulator.onchip import calibrate_on_chip
    from photonpu.sweep import sweep

__version__ = "0.1.0"

_HOMES = {
    "Chip": "photonpu.hardware",
    "Machine": "photonpu.hardware",
    "PhotonicMatrix": "photonpu.simulator",
    "PhotonpuError": "photonpu.errors",
    "Program": "photonpu.program",
    "Session": "photonpu.simulator",
    "calibrate_on_chip": "photonpu.simulator.onchip",
    "compile": "photonpu.compiler",
    "estimate": "photonpu.simulator",
    "evaluate": "photonpu.models.evaluation",
    "load_dataset": "photonpu.models.datasets",
    "sweep": "photonpu.sweep",
}

__all__ = [
    "Chip",
    "Machine",
    "PhotonicMatrix",
    "PhotonpuError",
    "Program",
    "Session",
    "calibrate_on_chip",
    "compile",
    "estimate",
    "evaluate",
    "load_dataset",
    "sweep",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'photonpu' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return [*__all__, "__version__"]
