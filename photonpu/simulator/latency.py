"""How long a layer takes: a tiled, weight-stationary product on cores that work side by side.

Computing takes ``ceil(tiles vectors / (cores wavelengths)) / clock`` and programming
``ceil(tiles / cores) settling time``, one after the other since a mesh cannot settle while
vectors pass (Zhu et al., "Lightening-Transformer", HPCA 2024, arXiv:2305.19533, its MZI
baseline). Memory works beside them and shows only where it takes longer than both.
"""

from __future__ import annotations

from dataclasses import dataclass

from photonpu.hardware import Machine
from photonpu.simulator.parts import Parts
from photonpu.simulator.work import Work
from photonpu.units import LIGHT_M_S


@dataclass(frozen=True, slots=True)
class Latency(Parts):
    """Time of a layer by what it is spent on, s.

    Attributes
    ----------
    compute_s
        Vectors pass the meshes.
    programming_s
        New phases settle.
    memory_s
        External memory is waited for: its time beyond that of the rest of the layer.
    digital_s
        The digital unit works.
    flight_s
        Light is on its way through both meshes, once a layer.
    """

    compute_s: float
    programming_s: float
    memory_s: float
    digital_s: float
    flight_s: float

    @property
    def photonic_s(self) -> float:
        """Time for which laser, modulators and receivers are on, s.

        A laser cannot be switched within microseconds: it burns on while meshes settle.
        """
        return self.compute_s + self.programming_s + self.flight_s


def latency(work: Work, machine: Machine) -> Latency:
    """Return the time that a layer takes."""
    compute_s = work.cycles / (machine.clock_ghz * 1e9)
    programming_s = work.turns * machine.phase.settling_time_us * 1e-6
    digital_s = work.operations / (machine.digital.lanes * machine.digital.clock_ghz * 1e9)
    transfer_s = work.dram_bits / (machine.memory.dram_bandwidth_gb_per_s * 8e9)
    busy_s = compute_s + programming_s + digital_s
    return Latency(
        compute_s,
        programming_s,
        max(0.0, transfer_s - busy_s),
        digital_s,
        flight_time_s(machine) if work.cycles else 0.0,
    )


def flight_time_s(machine: Machine) -> float:
    """Return the time that light takes through two meshes and an attenuator, s."""
    length_m = (2 * machine.mesh.depth + 1) * machine.mesh.mzi_length_um * 1e-6
    return length_m * machine.mesh.group_index / LIGHT_M_S
