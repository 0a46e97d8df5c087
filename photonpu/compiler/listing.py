"""An inspection as tables for people, and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from photonpu.compiler.inspection import Inspection
from photonpu.compiler.lanes import Digital, OnMesh
from photonpu.tables import engineering, printable, text_table


def table(inspection: Inspection) -> str:
    """Return what `photonpu check` prints: operators by lane, matrices, what falls back and why."""
    parts = [_head(inspection), _operators(inspection)]
    if inspection.on_mesh:
        parts.append(_matrices(inspection))
    if any(operator.product for operator in inspection.digital):
        parts.append(_fallen(inspection))
    if inspection.notes:
        parts.append("\n".join(f"note: {printable(note)}" for note in inspection.notes))
    return "\n\n".join(parts)


def to_dict(inspection: Inspection) -> dict[str, object]:
    """Return the inspection as plain values."""
    return {
        "name": inspection.name,
        "machine": inspection.machine.name,
        "ports": inspection.machine.mesh.ports,
        "operators_in_file": inspection.operators_in_file,
        "operators": [asdict(total) for total in totals(inspection.lanes)],
        "macs": sum(operator.macs for operator in inspection.lanes),
        "mac_share_on_mesh": inspection.mac_share,
        "tiles": inspection.tiles,
        "utilisation": inspection.utilisation,
        "on_mesh": [
            {
                "name": product.name,
                "op": product.op,
                "matrices": [
                    list(product.geometry.matrix_shape(stream))
                    for stream in product.geometry.streams
                ],
                "groups": product.geometry.groups,
                "reprogrammed": product.held or None,
                "matrices_a_sample": product.matrices,
                "vectors": list(product.vectors),
                "tiles": product.tiles,
                "utilisation": inspection.used([product]),
                "macs": product.macs,
            }
            for product in inspection.on_mesh
        ],
        "products_left_digital": [
            {
                "name": operator.name,
                "op": operator.op,
                "macs": operator.macs,
                "reason": operator.reason,
                "remedy": operator.remedy or None,
            }
            for operator in inspection.digital
            if operator.product
        ],
        "notes": list(inspection.notes),
    }


@dataclass(frozen=True, slots=True)
class Total:
    """All nodes of one operator in one lane; `share` is that of all operations, 0 to 1."""

    op: str
    lane: str
    count: int
    macs: int
    operations: int
    share: float


def totals(lanes: Sequence[OnMesh | Digital]) -> list[Total]:
    """Return one total for each operator and lane: the mesh first, then the heaviest."""
    sums: dict[tuple[str, str], list[int]] = {}
    for operator in lanes:
        on_mesh = isinstance(operator, OnMesh)
        operations = 2 * operator.macs if isinstance(operator, OnMesh) else operator.operations
        sum_ = sums.setdefault((operator.op, "mesh" if on_mesh else "digital"), [0, 0, 0])
        for index, more in enumerate((1, operator.macs, operations)):
            sum_[index] += more
    everything = sum(operations for _, _, operations in sums.values())
    found = [
        Total(op, lane, count, macs, operations, operations / everything if everything else 0.0)
        for (op, lane), (count, macs, operations) in sums.items()
    ]
    return sorted(found, key=lambda total: (total.lane != "mesh", -total.operations, total.op))


def _head(inspection: Inspection) -> str:
    macs = sum(operator.macs for operator in inspection.lanes)
    ports = inspection.machine.mesh.ports
    head = (
        f"{printable(inspection.name)} on {printable(inspection.machine.name)}: "
        f"{len(inspection.on_mesh)} of {len(inspection.lanes)} operators on the mesh "
        f"({inspection.operators_in_file} in the file)"
    )
    lines = [
        head,
        f"{inspection.mac_share:.1%} of {engineering(macs)} MACs on the mesh",
    ]
    if inspection.on_mesh:
        lines.append(
            f"{inspection.tiles} tiles of {ports} ports on {inspection.machine.cores} cores; "
            f"{inspection.utilisation:.1%} of what they multiply is the model's, the rest padding"
        )
    return "\n".join(lines)


def _operators(inspection: Inspection) -> str:
    rows = [
        [
            total.op,
            total.count,
            total.lane,
            _amount(total.macs),
            _amount(total.operations),
            f"{total.share:.1%}",
        ]
        for total in totals(inspection.lanes)
    ]
    return text_table(["operator", "count", "lane", "MACs", "operations", "share"], rows, "lrlrrr")


def _matrices(inspection: Inspection) -> str:
    rows = [
        [
            product.name,
            product.op,
            _shapes(product),
            sum(product.vectors),
            product.tiles,
            f"{inspection.used([product]):.1%}",
            _amount(product.macs),
        ]
        for product in inspection.on_mesh
    ]
    header = ["on the mesh", "operator", "matrices", "vectors", "tiles", "used", "MACs"]
    return text_table(header, rows, "lllrrrr")


def _shapes(product: OnMesh) -> str:
    """Return the shapes of a product's matrices: ``12x5``, ``8 groups of 1x9``, and how often."""
    groups = product.geometry.groups
    shapes = []
    for stream in product.geometry.streams:
        rows, columns = product.geometry.matrix_shape(stream)
        shapes.append(f"{rows // groups}x{columns // groups}")
    text = " + ".join(shapes)
    if product.held:
        return f"{product.matrices} of {text}, reprogrammed for each sample"
    return text if groups == 1 else f"{groups} groups of {text}"


def _fallen(inspection: Inspection) -> str:
    """Return the products that stay digital with their reasons, then what would change that."""
    groups: dict[str, list[str]] = {}
    for operator in inspection.digital:
        if operator.product:
            macs = f", {engineering(operator.macs)} MACs" if operator.macs else ""
            line = f"  {operator.name} ({operator.op}{macs}): {operator.reason}"
            groups.setdefault(operator.remedy, []).append(printable(line))
    lines = ["products that stay digital:"]
    for remedy, members in groups.items():
        lines += [*members, *([f"    what to change: {remedy}"] if remedy else [])]
    return "\n".join(lines)


def _amount(number: int) -> str:
    return engineering(number) if number else "-"
