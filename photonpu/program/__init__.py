"""The compiled program: what the compiler writes and the simulator reads."""

from photonpu.program.geometry import Access, Geometry, Stream, Window
from photonpu.program.values import (
    HostOperator,
    HostStep,
    PhotonicStep,
    Program,
    Programming,
    ReprogrammedStep,
    Step,
    TensorInfo,
    TileBank,
)

__all__ = [
    "Access",
    "Geometry",
    "HostOperator",
    "HostStep",
    "PhotonicStep",
    "Program",
    "Programming",
    "ReprogrammedStep",
    "Step",
    "Stream",
    "TensorInfo",
    "TileBank",
    "Window",
]
