"""Analogue-to-digital converters: bits from noise, and energy from bits."""

from __future__ import annotations

import math

_CONVERSION_LIMIT_HZ = 1e10


def snr_db_of_bits(bits: float) -> float:
    """Return the signal-to-noise ratio, in dB, of an ideal converter of `bits` (Walden 1999)."""
    return 6.02 * bits + 1.76


def effective_bits(snr_db: float) -> float:
    """Return the effective number of bits (ENOB) at a signal-to-noise ratio in dB."""
    return (snr_db - 1.76) / 6.02


def adc_energy_pj(bits: float, rate_hz: float, technology_nm: float) -> float:
    """Return the energy of one conversion, in pJ, of the best converters that were published.

    The fit of Accelergy's ADC plug-in (Andrulis et al., "Modeling analog-digital-converter energy
    and area for compute-in-memory accelerator design", arXiv:2404.06553, 2024) to Murmann's
    "ADC performance survey": Schreier's figure of merit is flat at low rates and falls by
    2.87 dB for each factor e of the rate at high ones; the rest scales from node to node.

    Parameters
    ----------
    bits
        Effective bits. A converter of 8 nominal bits often has 6, and then costs less.
    rate_hz
        Conversions a second; beyond 10 GS/s several take turns.
    technology_nm
        CMOS node.
    """
    rate_hz = min(rate_hz, _CONVERSION_LIMIT_HZ)
    # 3.2205 dB a bit; the survey reaches 14 bits, beyond them this goes on.
    plateau_db = 128.3068 + 3.220514 * math.ceil(bits)
    merit_db = min(213.7807 - 2.8719 * math.log(rate_hz), plateau_db)
    snr_db = snr_db_of_bits(bits)
    schreier_j = 0.5 * math.pow(10.0, (snr_db - merit_db) / 10.0)
    exponent = 26.0496 + 1.88004 * math.log(technology_nm) - 2.82913 * math.log(bits) - 1.47020
    return schreier_j * math.exp(exponent)
