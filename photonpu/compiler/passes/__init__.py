"""Graph passes: each is a name and a function from graph to graph that means the same."""

from __future__ import annotations

from collections.abc import Callable

from photonpu.compiler.graph import Graph
from photonpu.compiler.passes.affine import fold_affine
from photonpu.compiler.passes.arrangements import arrange_constants
from photonpu.compiler.passes.chains import gather_sums, join_products
from photonpu.compiler.passes.constants import constants
from photonpu.compiler.passes.contractions import reduce_contractions
from photonpu.compiler.passes.dead import drop_dead
from photonpu.compiler.passes.folding import fold_shapes
from photonpu.compiler.passes.fused import split_fused
from photonpu.compiler.passes.gemm import split_gemm
from photonpu.compiler.passes.identities import drop_identities
from photonpu.compiler.passes.pads import fold_pads
from photonpu.compiler.passes.quantised import REWRITES, dequantise, why_digital
from photonpu.registry import Registry

Pass = Callable[[Graph], Graph]

PASSES: Registry[Pass] = Registry("pass")
PASSES.register("constants")(constants)
PASSES.register("drop_identities")(drop_identities)
PASSES.register("arrange_constants")(arrange_constants)
PASSES.register("fold_shapes")(fold_shapes)
PASSES.register("fold_pads")(fold_pads)
PASSES.register("split_fused")(split_fused)
PASSES.register("dequantise")(dequantise)
PASSES.register("split_gemm")(split_gemm)
PASSES.register("gather_sums")(gather_sums)
PASSES.register("reduce_contractions")(reduce_contractions)
PASSES.register("fold_affine")(fold_affine)
PASSES.register("join_products")(join_products)
PASSES.register("drop_dead")(drop_dead)

__all__ = [
    "PASSES",
    "REWRITES",
    "Pass",
    "arrange_constants",
    "constants",
    "dequantise",
    "drop_dead",
    "drop_identities",
    "fold_affine",
    "fold_pads",
    "fold_shapes",
    "gather_sums",
    "join_products",
    "reduce_contractions",
    "run",
    "split_fused",
    "split_gemm",
    "why_digital",
]


def run(graph: Graph) -> Graph:
    """Apply all passes in the order of their table until none changes the graph any more."""
    while True:
        before = graph
        for change in PASSES.values():
            graph = change(graph)
        if graph is before:
            return graph
