"""Converters against Accelergy's figures and published examples."""

from __future__ import annotations

import pytest

from photonpu.hardware.adc import adc_energy_pj, effective_bits, snr_db_of_bits

# Accelergy's ADC plug-in, pJ a conversion: node, rate, then 4, 5, 6, 7, 8 and 10 effective bits.
ACCELERGY = (
    (7, 1e9, (0.053, 0.054, 0.061, 0.075, 0.098, 0.80)),
    (7, 1e10, (0.053, 0.054, 0.061, 0.157, 0.431, 3.67)),
    (16, 1e9, (0.251, 0.254, 0.289, 0.356, 0.465, 3.78)),
    (16, 5e9, (0.251, 0.254, 0.289, 0.470, 1.289, 10.97)),
    (16, 1e10, (0.251, 0.254, 0.289, 0.744, 2.038, 17.3)),
    (28, 1e9, (0.718, 0.728, 0.828, 1.020, 1.332, 10.8)),
)


@pytest.mark.parametrize(("node", "rate_hz", "energies_pj"), ACCELERGY)
def test_the_energy_of_a_conversion_is_accelergys(
    node: float, rate_hz: float, energies_pj: tuple[float, ...]
) -> None:
    found = [adc_energy_pj(bits, rate_hz, node) for bits in (4, 5, 6, 7, 8, 10)]

    assert found == pytest.approx(list(energies_pj), rel=5e-3, abs=6e-4)


def test_beyond_10_gigasamples_converters_take_turns() -> None:
    assert adc_energy_pj(8, 1e11, 16) == adc_energy_pj(8, 1e10, 16)


@pytest.mark.parametrize(("snr_db", "bits"), [(37.0, 5.85), (51.0, 8.17), (47.6, 7.61)])
def test_effective_bits_follow_from_the_signal_to_noise_ratio(snr_db: float, bits: float) -> None:
    assert effective_bits(snr_db) == pytest.approx(bits, abs=0.01)
    assert snr_db_of_bits(effective_bits(snr_db)) == pytest.approx(snr_db)
