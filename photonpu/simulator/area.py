"""What a machine covers, by component; the laser is off the chip and is not counted."""

from __future__ import annotations

from dataclasses import dataclass

from photonpu.hardware import Machine
from photonpu.simulator.parts import Parts


@dataclass(frozen=True, slots=True)
class Area(Parts):
    """Area of a machine by component, mm^2.

    Attributes
    ----------
    meshes_mm2
        Interferometers of the meshes and the attenuators between them.
    drivers_mm2
        Drivers of the phase shifters.
    modulators_mm2
        Input modulators.
    dac_mm2, adc_mm2
        Converters of inputs and outputs.
    receivers_mm2
        Photodiodes and amplifiers.
    sram_mm2
        Memory on chip.
    digital_mm2
        The digital unit.
    """

    meshes_mm2: float
    drivers_mm2: float
    modulators_mm2: float
    dac_mm2: float
    adc_mm2: float
    receivers_mm2: float
    sram_mm2: float
    digital_mm2: float


def area(machine: Machine) -> Area:
    """Return the area of a machine."""
    mesh = machine.mesh
    mzis = machine.cores * (2 * mesh.mzis + mesh.ports)
    channels = machine.cores * mesh.ports * machine.wavelengths
    return Area(
        meshes_mm2=mzis * mesh.mzi_length_um * mesh.mzi_width_um * 1e-6,
        drivers_mm2=machine.cores * mesh.shifters * machine.phase.driver_area_um2 * 1e-6,
        modulators_mm2=channels * machine.optics.modulator_area_um2 * 1e-6,
        dac_mm2=channels * machine.converters.dac_area_um2 * 1e-6,
        adc_mm2=channels * machine.converters.adc_area_um2 * 1e-6,
        receivers_mm2=channels * machine.detector.tia_area_um2 * 1e-6,
        sram_mm2=machine.memory.sram_mb * machine.memory.sram_mm2_per_mb,
        digital_mm2=machine.digital.area_mm2,
    )
