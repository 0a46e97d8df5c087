"""Latency, energy and area of a compiled program, layer by layer and by component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from photonpu.errors import InputError
from photonpu.hardware import LinkBudget, Machine
from photonpu.program import Program
from photonpu.simulator.area import Area, area
from photonpu.simulator.energy import Energy, energy
from photonpu.simulator.latency import Latency, latency
from photonpu.simulator.parts import Parts, significant
from photonpu.simulator.session import fitting
from photonpu.simulator.work import Work, count
from photonpu.tables import engineering, text_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class LayerEstimate:
    """What one layer of a batch takes.

    Attributes
    ----------
    name, op
        The node and its ONNX operator.
    tiles
        Tiles on the meshes; 0 for a digital operator.
    vectors
        Vectors that stream through them.
    macs
        Multiply-accumulates on the meshes, padding not counted.
    utilisation
        Share of the meshes' multiply-accumulates, while vectors pass, that are not padding.
    cycles
        Clock cycles in which vectors pass the meshes.
    operations
        Elementary operations of the digital unit; the accumulators behind the ADCs not counted.
    sram_bytes, dram_bytes
        Bytes that move to and from memory on chip and external memory.
    latency, energy
        By component, in s and J.
    """

    name: str
    op: str
    tiles: int
    vectors: int
    macs: int
    utilisation: float
    cycles: int
    operations: int
    sram_bytes: float
    dram_bytes: float
    latency: Latency
    energy: Energy

    @property
    def latency_s(self) -> float:
        """Time, s."""
        return self.latency.total

    @property
    def energy_j(self) -> float:
        """Energy, J."""
        return self.energy.total

    def to_dict(self) -> dict[str, object]:
        """Return all numbers of the layer, ready for JSON."""
        return {
            "name": self.name,
            "op": self.op,
            "tiles": self.tiles,
            "vectors": self.vectors,
            "macs": self.macs,
            "utilisation": self.utilisation,
            "cycles": self.cycles,
            "operations": self.operations,
            "sram_bytes": self.sram_bytes,
            "dram_bytes": self.dram_bytes,
            "latency_s": self.latency_s,
            **self.latency.named(),
            "energy_j": self.energy_j,
            **self.energy.named(),
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a batch takes on a machine; layers run one after another.

    Attributes
    ----------
    program, machine
        Names of both.
    batch
        Samples; all numbers are for the whole batch.
    layers
        Every photonic layer and every digital operator in order, then the transfer of the
        network's inputs and outputs.
    area_by_component
        In mm^2.
    link
        The machine's link budget.
    """

    program: str
    machine: str
    batch: int
    layers: tuple[LayerEstimate, ...]
    area_by_component: Area
    link: LinkBudget

    @property
    def latency_s(self) -> float:
        """Time of the batch, s."""
        return self.latency_by_component.total

    @property
    def energy_j(self) -> float:
        """Energy of the batch, J."""
        return self.energy_by_component.total

    @property
    def area_mm2(self) -> float:
        """Area of the machine, mm^2."""
        return self.area_by_component.total

    @property
    def power_w(self) -> float:
        """Mean power while the batch runs, W; 0 for a program without steps."""
        return self.energy_j / self.latency_s if self.latency_s else 0.0

    @property
    def macs(self) -> int:
        """Multiply-accumulates on the meshes."""
        return sum(layer.macs for layer in self.layers)

    @property
    def latency_by_component(self) -> Latency:
        """Time of all layers by component, s."""
        return Latency.sum(layer.latency for layer in self.layers)

    @property
    def energy_by_component(self) -> Energy:
        """Energy of all layers by component, J."""
        return Energy.sum(layer.energy for layer in self.layers)

    @property
    def latency(self) -> Mapping[str, float]:
        """Time by component: ``{"compute": ...}``, s."""
        return self.latency_by_component.parts()

    @property
    def components(self) -> Mapping[str, float]:
        """Energy by component: ``{"laser": ...}``, J."""
        return self.energy_by_component.parts()

    @property
    def area(self) -> Mapping[str, float]:
        """Area by component: ``{"meshes": ...}``, mm^2."""
        return self.area_by_component.parts()

    def to_dict(self) -> dict[str, object]:
        """Return all numbers, ready for JSON; units stand in the keys."""
        return {
            "program": self.program,
            "machine": self.machine,
            "batch": self.batch,
            "macs": self.macs,
            "latency_s": self.latency_s,
            "energy_j": self.energy_j,
            "power_w": self.power_w,
            "area_mm2": self.area_mm2,
            "path_loss_db": self.link.path_loss_db,
            "laser_power_w": self.link.laser_power_w,
            "latency": _described(self.latency_by_component),
            "energy": _described(self.energy_by_component),
            "area": _described(self.area_by_component),
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each layer, with the columns of `LayerEstimate.to_dict`."""
        import pandas as pd

        return pd.DataFrame([layer.to_dict() for layer in self.layers])

    def table(self) -> str:
        """Return totals, components and layers as text for people."""
        return "\n\n".join([self._totals(), self._components(), self._layers()])

    def _totals(self) -> str:
        samples = "sample" if self.batch == 1 else "samples"
        return (
            f"{_plain(self.program)} on {_plain(self.machine)}, {self.batch} {samples}: "
            f"{_seconds(self.latency_s)}, {_joules(self.energy_j)}, "
            f"{engineering(self.power_w, 'W')}, {_square_millimetres(self.area_mm2)}\n"
            f"light: {self.link.path_loss_db:.1f} dB on the longest path, "
            f"{engineering(self.link.laser_power_w, 'W')} of laser light a core"
        )

    def _components(self) -> str:
        rows = [
            (title, name, show(value), f"{share:.1%}")
            for title, quantity, show in (
                ("latency", self.latency_by_component, _seconds),
                ("energy", self.energy_by_component, _joules),
                ("area", self.area_by_component, _square_millimetres),
            )
            for name, value, share in significant(quantity)
        ]
        return text_table(("", "component", "value", "share"), rows, "llrr")

    def _layers(self) -> str:
        counts = ("tiles", "vectors", "used", "operations", "moved")
        header = ("layer", "op", *counts, "latency", "share", "energy", "share")
        rows = [
            (
                layer.name,
                layer.op,
                layer.tiles or "",
                layer.vectors or "",
                f"{layer.utilisation:.0%}" if layer.cycles else "",
                engineering(layer.operations) if layer.operations else "",
                engineering(layer.sram_bytes + layer.dram_bytes, "B"),
                _seconds(layer.latency_s),
                f"{layer.latency_s / (self.latency_s or 1.0):.1%}",
                _joules(layer.energy_j),
                f"{layer.energy_j / (self.energy_j or 1.0):.1%}",
            )
            for layer in self.layers
        ]
        return text_table(header, rows, "llrrrrrrrrr")


def estimate(program: Program, batch: int = 1, *, machine: Machine | None = None) -> Estimate:
    """Return the latency, energy and area of a program.

    Parameters
    ----------
    program
        What runs.
    batch
        Samples that run together: a tile is programmed once for all of them.
    machine
        In place of the machine that the program was compiled for; ports, topology and cores
        must be the same.

    Returns
    -------
    Estimate
        Of one batch, layer by layer and in total.

    Raises
    ------
    InputError
        The batch is not a whole number from 1.
    ProgramError
        The program was compiled for a machine of another size.
    MachineError
        The link budget does not close.
    """
    if batch != int(batch) or batch < 1:
        raise InputError(f"batch={batch}: a whole number from 1 is needed")
    machine = fitting(program, machine)
    link = LinkBudget.of(machine)
    layers = tuple(_layer(work, machine, link) for work in count(program, machine, int(batch)))
    return Estimate(program.name, machine.name, int(batch), layers, area(machine), link)


def _layer(work: Work, machine: Machine, link: LinkBudget) -> LayerEstimate:
    spent = latency(work, machine)
    offered = work.cycles * machine.cores * machine.wavelengths * machine.mesh.ports**2
    return LayerEstimate(
        work.name,
        work.op,
        work.tiles,
        work.vectors,
        work.macs,
        work.macs / offered if offered else 0.0,
        work.cycles,
        work.operations,
        work.sram_bits / 8,
        work.dram_bits / 8,
        spent,
        energy(work, spent, machine, link),
    )


def _described(quantity: Parts) -> dict[str, dict[str, float]]:
    """Return the parts with their unit, and their shares."""
    return {"parts": quantity.named(), "shares": quantity.shares()}


def _plain(name: str) -> str:
    """Return a name from a file as a terminal may print it."""
    return name if name.isprintable() else ascii(name)


def _seconds(value: float) -> str:
    return engineering(value, "s")


def _joules(value: float) -> str:
    return engineering(value, "J")


def _square_millimetres(value: float) -> str:
    return f"{value:.3g} mm²"
