"""Area against a hand calculation."""

from __future__ import annotations

import pytest

from photonpu.hardware import Machine
from photonpu.simulator.area import area


def test_area_counts_every_device_of_a_small_machine() -> None:
    found = area(Machine.preset("lt-mzi").override({"phase.driver_area_um2": 100.0}))

    # 8 cores of 12 ports: 2 x 66 interferometers and 12 attenuators of 180 x 100 um each.
    assert found.meshes_mm2 == pytest.approx(8 * 144 * 0.018)
    assert found.drivers_mm2 == pytest.approx(8 * 300 * 1e-4)
    assert found.modulators_mm2 == pytest.approx(96 * 0.0052)
    assert found.dac_mm2 == pytest.approx(96 * 0.011)
    assert found.adc_mm2 == pytest.approx(96 * 0.00285)
    assert found.receivers_mm2 == pytest.approx(96 * 0.00013)
    assert found.sram_mm2 == pytest.approx(16.0)
    assert found.digital_mm2 == pytest.approx(2.0)


def test_wavelengths_share_the_meshes_and_multiply_the_converters() -> None:
    machine = Machine.preset("mzi64-eo")
    one, three = area(machine), area(machine.override({"wavelengths": 3}))

    assert three.meshes_mm2 == one.meshes_mm2
    assert three.adc_mm2 == pytest.approx(3 * one.adc_mm2)
    assert three.modulators_mm2 == pytest.approx(3 * one.modulators_mm2)
