"""Decibels, photon energies, and the constants of nature that they need.

Losses are positive numbers of decibels of power; a field falls by half as many decibels.
"""

from __future__ import annotations

import math

# Exact by the definition of the SI units (CODATA 2018; BIPM, SI Brochure, 9th edition, 2019).
PLANCK_J_S = 6.626_070_15e-34
LIGHT_M_S = 299_792_458.0
ELECTRON_C = 1.602_176_634e-19
BOLTZMANN_J_K = 1.380_649e-23


def db_to_power(loss_db: float) -> float:
    """Return the share of the power that a loss of `loss_db` dB lets through.

    Examples
    --------
    >>> db_to_power(10.0)
    0.1
    """
    return float(10.0 ** (-loss_db / 10.0))


def db_to_field(loss_db: float) -> float:
    """Return the share of the field's amplitude that a loss of `loss_db` dB lets through.

    Examples
    --------
    >>> db_to_field(20.0)
    0.1
    """
    return float(10.0 ** (-loss_db / 20.0))


def power_to_db(share: float) -> float:
    """Return the loss, in dB, that lets `share` of the power through; `share` is above 0."""
    return -10.0 * math.log10(share)


def dbm_to_w(power_dbm: float) -> float:
    """Return a power of `power_dbm` dBm (dB above 1 mW) in W.

    Examples
    --------
    >>> dbm_to_w(0.0)
    0.001
    """
    return float(1e-3 * 10.0 ** (power_dbm / 10.0))


def photon_energy_j(wavelength_nm: float) -> float:
    """Return the energy ``h c / wavelength`` of one photon, in J."""
    return PLANCK_J_S * LIGHT_M_S / (wavelength_nm * 1e-9)
