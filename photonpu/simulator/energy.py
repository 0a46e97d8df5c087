"""What a layer costs in energy, by component.

What runs with the clock is charged for each conversion; what burns on is charged for the time in
which vectors pass or phases settle, on all cores, since idle ones are lit as well. The phases of
a tile are held from its programming until its last vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from photonpu.hardware import LinkBudget, Machine
from photonpu.hardware.adc import adc_energy_pj
from photonpu.simulator.latency import Latency
from photonpu.simulator.parts import Parts
from photonpu.simulator.work import Work


@dataclass(frozen=True, slots=True)
class Energy(Parts):
    """Energy of a layer by component, J.

    Attributes
    ----------
    laser_j
        Electrical energy of the lasers, local oscillators included.
    modulators_j
        Input modulators.
    dac_j, adc_j
        Conversions at the inputs and at the outputs.
    tia_j
        Transimpedance amplifiers.
    holding_j
        Phase shifters that hold their phases: the program's own, wrapped to 2 pi.
    programming_j
        Phase shifters that are set anew.
    sram_j, dram_j
        Memory on chip and external.
    digital_j
        The digital unit, and the accumulators behind the ADCs.
    """

    laser_j: float
    modulators_j: float
    dac_j: float
    adc_j: float
    tia_j: float
    holding_j: float
    programming_j: float
    sram_j: float
    dram_j: float
    digital_j: float


def energy(work: Work, spent: Latency, machine: Machine, link: LinkBudget) -> Energy:
    """Return the energy that a layer takes.

    Parameters
    ----------
    work
        What the layer asks for.
    spent
        Its latency.
    machine, link
        What it runs on, and that machine's link budget.
    """
    optics, converters, memory = machine.optics, machine.converters, machine.memory
    lit_s = spent.photonic_s if work.tiles else 0.0
    channels = machine.cores * machine.mesh.ports * machine.wavelengths
    modulator_j = optics.modulator_energy_fj_per_bit * 1e-15 * converters.input_bits
    static_w = optics.modulator_static_mw * 1e-3 * channels
    return Energy(
        laser_j=link.laser_power_w / optics.laser_efficiency * machine.cores * lit_s,
        modulators_j=work.dac_samples * modulator_j + static_w * lit_s,
        dac_j=work.dac_samples * converters.dac_energy_pj * 1e-12,
        adc_j=work.adc_samples * conversion_energy_j(machine),
        tia_j=machine.detector.tia_power_mw * 1e-3 * channels * lit_s,
        holding_j=_holding_j(work, machine),
        programming_j=work.programmings
        * machine.mesh.shifters
        * machine.phase.program_energy_pj
        * 1e-12,
        sram_j=work.sram_bits * memory.sram_pj_per_bit * 1e-12,
        dram_j=work.dram_bits * memory.dram_pj_per_bit * 1e-12,
        digital_j=(work.operations + work.accumulations) * machine.digital.energy_pj_per_op * 1e-12,
    )


def conversion_energy_j(machine: Machine) -> float:
    """Return the energy of one ADC conversion, J."""
    converters = machine.converters
    if converters.adc_energy_pj is not None:
        return converters.adc_energy_pj * 1e-12
    rate_hz = machine.clock_ghz * 1e9
    bits = converters.adc_bits if converters.adc_enob is None else converters.adc_enob
    return adc_energy_pj(bits, rate_hz, converters.technology_nm) * 1e-12


def _holding_j(work: Work, machine: Machine) -> float:
    """Return the energy of the phases that are held, J: ``P_pi phase / pi`` for each shifter."""
    settling = work.held_programming * machine.phase.settling_time_us * 1e-6
    passing = work.held_vectors / (machine.wavelengths * machine.clock_ghz * 1e9)
    return machine.phase.pi_power_mw * 1e-3 * (settling + passing)
