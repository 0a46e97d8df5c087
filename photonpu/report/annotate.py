"""A model as its user knows it, with each node's lane and cost in it: to look at in Netron.

Nodes keep their order, names and attributes; what is new stands in their ``metadata_props``, which
ONNX has since version 10 of its file format. Where several nodes of the file became one layer of
the program, one of them carries the cost and the others name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from photonpu.compiler import weights
from photonpu.compiler.choice import node_names, stands_for
from photonpu.compiler.inspection import Inspection
from photonpu.compiler.lanes import Digital, OnMesh
from photonpu.errors import UnsupportedModelError
from photonpu.simulator.estimate import Estimate, LayerEstimate
from photonpu.storage import atomic_write
from photonpu.tables import printable

if TYPE_CHECKING:
    import onnx

#: Version of ONNX's file format that lets a node carry metadata.
NODE_METADATA = 10
#: What the keys begin with.
PREFIX = "photonpu."
FOLDED = "its result is constant, or nothing needs it"


def annotated(inspection: Inspection, cost: Estimate | None = None) -> onnx.ModelProto:
    """Return the inspected model with the lane, the reason and the cost of each node.

    Parameters
    ----------
    inspection
        What becomes of the model.
    cost
        Estimate of its program on the same machine; without it latency and energy are left out.

    Returns
    -------
    onnx.ModelProto
        The same function; the model as it was read, with what it is cut into beside each node.
    """
    model = weights.copied(inspection.source)
    model.ir_version = max(model.ir_version, NODE_METADATA)
    layers: dict[str, list[LayerEstimate]] = {}
    for layer in cost.layers if cost else ():
        layers.setdefault(layer.name.removesuffix(" (programming)"), []).append(layer)
    lanes = {lane.name: lane for lane in inspection.lanes}
    owners, carriers = _owners(inspection)
    for index, node in enumerate(model.graph.node):
        owner = owners.get(index)
        if owner is None:
            _write(node, {"lane": "folded", "reason": FOLDED})
            continue
        entries = _lane(lanes[owner])
        if carriers[owner] == index:
            entries |= _cost(lanes[owner], layers.get(owner, []))
        else:
            entries["part_of"] = owner
        _write(node, entries)
    _write(model, _totals(inspection, cost))
    return model


def save(model: onnx.ModelProto, path: str | Path) -> None:
    """Write an annotated model as one file.

    Raises
    ------
    StorageError
        The file cannot be written.
    UnsupportedModelError
        It has 2 GiB or more.
    """
    try:
        data = model.SerializeToString()
    except Exception as error:  # protobuf's own errors share no other root
        raise UnsupportedModelError(
            f"the annotated model does not fit into one file ({error}): 2 GiB are the limit"
        ) from error

    def write(file: BinaryIO) -> None:
        file.write(data)

    atomic_write(path, write)


def _owners(inspection: Inspection) -> tuple[dict[int, str], dict[str, int]]:
    """Return which layer each node of the file became part of, and which node carries its cost."""
    owners: dict[int, str] = {}
    carriers: dict[str, int] = {}
    nodes = inspection.source.graph.node
    place = {name: index for index, name in enumerate(node_names(inspection.source))}
    for layer, members in stands_for(inspection.graph, inspection.source):
        mine = sorted(index for index in map(place.__getitem__, members) if index not in owners)
        owners.update(dict.fromkeys(mine, layer.name))
        alike = [index for index in mine if nodes[index].op_type == layer.op]
        if place.get(layer.name) in mine:
            carriers[layer.name] = place[layer.name]
        elif mine:
            carriers[layer.name] = (alike or mine)[-1]
    return owners, carriers


def _lane(lane: OnMesh | Digital) -> dict[str, object]:
    """Return where a node runs, and why not on the mesh if it could be expected there."""
    if isinstance(lane, OnMesh):
        entries: dict[str, object] = {"lane": "mesh"}
        if lane.held:
            entries["reprogrammed"] = f"for each sample, with '{lane.held}'"
        return entries
    entries = {"lane": "digital"}
    if lane.product:
        entries["reason"] = lane.reason
        if lane.remedy:
            entries["what_to_change"] = lane.remedy
    return entries


def _cost(lane: OnMesh | Digital, layers: Iterable[LayerEstimate]) -> dict[str, object]:
    """Return what a node takes for one batch; a reprogrammed one has two rows in the estimate."""
    layers = list(layers)
    entries: dict[str, object] = {"layer": lane.name}
    if isinstance(lane, OnMesh):
        entries |= {"tiles": lane.tiles, "vectors": sum(lane.vectors), "macs": lane.macs}
    else:
        entries |= {"operations": lane.operations}
    if layers:
        if isinstance(lane, OnMesh):
            entries["cycles"] = sum(layer.cycles for layer in layers)
        entries["latency_ns"] = f"{1e9 * sum(layer.latency_s for layer in layers):.6g}"
        entries["energy_pj"] = f"{1e12 * sum(layer.energy_j for layer in layers):.6g}"
    return entries


def _totals(inspection: Inspection, cost: Estimate | None) -> dict[str, object]:
    """Return what stands beside the whole model."""
    entries: dict[str, object] = {
        "machine": inspection.machine.name,
        "mac_share_on_mesh": f"{inspection.mac_share:.6g}",
        "tiles": inspection.tiles,
    }
    if cost is not None:
        entries["batch"] = cost.batch
        entries["latency_ns"] = f"{1e9 * cost.latency_s:.6g}"
        entries["energy_pj"] = f"{1e12 * cost.energy_j:.6g}"
        entries["area_mm2"] = f"{cost.area_mm2:.6g}"
    return entries


def _write(target: onnx.NodeProto | onnx.ModelProto, entries: Mapping[str, object]) -> None:
    """Replace what an earlier annotation left by these entries; text from the file is escaped."""
    kept = [entry for entry in target.metadata_props if not entry.key.startswith(PREFIX)]
    pairs = [(entry.key, entry.value) for entry in kept]
    del target.metadata_props[:]
    for key, value in (*pairs, *((PREFIX + k, printable(str(v))) for k, v in entries.items())):
        target.metadata_props.add(key=key, value=value)
