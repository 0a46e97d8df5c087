"""One mesh of interferometers as algebra: unitary matrices, phases, errors, and back."""

from photonpu.mesh.layouts import Layout
from photonpu.mesh.meshes import MESHES, Phases, Topology, decompose, haar, matrix
from photonpu.mesh.mzi import attenuation, splitter, transfer

__all__ = [
    "MESHES",
    "Layout",
    "Phases",
    "Topology",
    "attenuation",
    "decompose",
    "haar",
    "matrix",
    "splitter",
    "transfer",
]
