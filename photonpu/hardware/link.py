"""The link budget: how much light the laser must give, and how noisy what arrives is.

Balanced homodyne detection: a signal of power ``P_s`` and a local oscillator of power ``P_LO``
beat to the current ``2 R sqrt(P_s P_LO)``, on the shot noise of all that is detected and the
amplifier's thermal noise (Collett, Loudon and Gardiner, J. Mod. Opt. 34, 881 (1987)).

Direct differential detection: one photodiode reads the intensity of signal and oscillator
together, the vector passes a second time with its sign turned, and the difference of both
currents is ``4 R sqrt(P_s P_LO)``; each reading has the noise of all the light that it sees.

The laser is sized for shot, dark and thermal noise. Its own intensity noise grows with it and is
left to `intensity_variance`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from photonpu.errors import MachineError
from photonpu.hardware.adc import snr_db_of_bits
from photonpu.hardware.machine import Machine
from photonpu.units import ELECTRON_C, db_to_power


class SampleVariance(NamedTuple):
    """Variance of one ADC sample ``y``: ``shot_floor + shot_slope * y**2 + dark + thermal``.

    In units of the square of one port's full-scale field at the detector: ``y`` is 1 when all of
    one port's full-scale light reaches one detector.
    """

    shot_floor: float
    shot_slope: float
    dark: float
    thermal: float

    def at(self, output: float) -> float:
        """Return the variance of a sample of value `output`."""
        return self.shot_floor + self.shot_slope * output**2 + self.dark + self.thermal


class CurrentVariance(NamedTuple):
    """Variances of the current of one photodiode and its amplifier, A^2; see `current_variance`."""

    shot: float
    dark: float
    thermal: float
    intensity: float


@dataclass(frozen=True, slots=True)
class LinkBudget:
    """Powers and losses from the laser to one detector; see `of`.

    Attributes
    ----------
    mesh_loss_db
        Loss of the longest path through both meshes and an attenuator, dB.
    path_loss_db
        The same with coupling and modulator; the division of the laser among the ports and
        wavelengths is not a part of it.
    signal_power_w
        At one detector when all of one port's full-scale light reaches it, W.
    local_oscillator_w
        At one detector, W.
    laser_power_w
        Optical power for one core, all wavelengths, local oscillators included, W.
    variance
        Variance of one ADC sample.
    """

    mesh_loss_db: float
    path_loss_db: float
    signal_power_w: float
    local_oscillator_w: float
    laser_power_w: float
    variance: SampleVariance

    @classmethod
    def of(cls, machine: Machine) -> LinkBudget:
        """Return the link budget of a machine.

        Without ``optics.laser_power_mw`` the laser is sized so that a sample of 1 has a
        signal-to-noise ratio of ``6.02 adc_bits + 1.76`` dB (Walden, IEEE J. Sel. Areas Commun.
        17, 539 (1999)). Without ``detector.local_oscillator_mw`` the laser is divided so that it
        is smallest, or where its power is given, so that the ratio is largest.

        Raises
        ------
        MachineError
            If the local oscillators alone take the laser's power, or are too weak for the ADC.
        """
        mesh_loss_db = machine.mesh.mzi_loss_db * (2 * machine.mesh.depth + 1)
        path_loss_db = (
            mesh_loss_db + machine.optics.coupling_loss_db + machine.optics.modulator_loss_db
        )
        receiver = _Receiver.of(machine)
        path = _Path(db_to_power(path_loss_db), db_to_power(machine.optics.coupling_loss_db))
        detectors = machine.mesh.ports * machine.wavelengths
        if machine.optics.laser_power_mw is None:
            signal_w, oscillator_w = _size(machine, receiver, path)
        else:
            share_w = machine.optics.laser_power_mw * 1e-3 / detectors
            signal_w, oscillator_w = _divide(machine, receiver, path, share_w)
        return cls(
            mesh_loss_db,
            path_loss_db,
            signal_w,
            oscillator_w,
            detectors * (signal_w / path.signal + oscillator_w / path.oscillator),
            receiver.variance(signal_w, oscillator_w),
        )

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio of a sample of 1, dB; infinite without noise."""
        variance = self.variance.at(1.0)
        return -10.0 * math.log10(variance) if variance else math.inf


class _Path(NamedTuple):
    """Shares of the laser's power that reach a detector as signal and as local oscillator."""

    signal: float
    oscillator: float


class _Receiver(NamedTuple):
    """A detector of the signal power P and oscillator power L, both in W.

    Its current squared is ``gain P L``, with the variance ``shot (P + L) + floor``, in A^2.
    """

    gain: float
    shot: float
    dark: float
    thermal: float

    @classmethod
    def of(cls, machine: Machine) -> _Receiver:
        """Return the detector of a machine: a balanced pair, or a photodiode that reads twice."""
        passes = machine.detector.passes
        one = current_variance(machine, 1.0)
        responsivity = machine.detector.responsivity_a_per_w
        return cls(
            gain=(2.0 * passes * responsivity) ** 2,
            shot=passes * one.shot,
            dark=2.0 * one.dark,  # of two photodiodes, or of two readings
            thermal=passes * one.thermal,
        )

    @property
    def floor(self) -> float:
        return self.dark + self.thermal

    def variance(self, signal_w: float, oscillator_w: float) -> SampleVariance:
        full_scale = self.gain * signal_w * oscillator_w
        return SampleVariance(
            self.shot * oscillator_w / full_scale,
            self.shot * signal_w / full_scale,
            self.dark / full_scale,
            self.thermal / full_scale,
        )


def current_variance(machine: Machine, power_w: float) -> CurrentVariance:
    """Return the noise of the current ``R P`` of one photodiode on which `power_w` falls.

    In the bandwidth ``B`` of half the clock (integrate and dump): shot noise ``2 q R P B``, that
    of the dark current ``2 q I_d B``, the amplifier's ``i_n^2 B`` and the laser's
    ``10^(RIN/10) (R P)^2 B`` (Agrawal, Fiber-Optic Communication Systems (2010), chapter 4).
    """
    detector = machine.detector
    bandwidth_hz = _bandwidth_hz(machine)
    charge = 2.0 * ELECTRON_C * bandwidth_hz
    current = detector.responsivity_a_per_w * power_w
    return CurrentVariance(
        shot=charge * current,
        dark=charge * detector.dark_current_na * 1e-9,
        thermal=(detector.tia_noise_pa_per_rthz * 1e-12) ** 2 * bandwidth_hz,
        intensity=_relative_intensity(machine) * current**2,
    )


def intensity_variance(machine: Machine, link: LinkBudget) -> tuple[float, float]:
    """Return what the laser's intensity noise adds to a sample: floor, and slope of ``y**2``.

    Signal and oscillator come of one laser, so that their beat fluctuates as its power does. The
    oscillator's own fluctuation reaches a balanced pair through its imbalance only; two readings
    of one photodiode do not cancel it, since the laser changes from one to the other. The light
    of the signal alone is neglected beside the oscillator's.

    Returns
    -------
    tuple of float
        In units of the square of one port's full-scale field.
    """
    relative = _relative_intensity(machine)
    ratio = link.local_oscillator_w / link.signal_power_w
    if machine.detector.readout == "direct":
        return relative * ratio / 8.0, 0.75 * relative
    return relative * ratio / 4.0 * db_to_power(machine.detector.cmrr_db), relative


def _bandwidth_hz(machine: Machine) -> float:
    return machine.clock_ghz * 1e9 / 2.0  # integrate and dump


def _relative_intensity(machine: Machine) -> float:
    """Return the variance of the laser's power, relative to its square, in the bandwidth."""
    rin_db = machine.optics.rin_db_per_hz
    return 0.0 if rin_db is None else db_to_power(-rin_db) * _bandwidth_hz(machine)


def _size(machine: Machine, receiver: _Receiver, path: _Path) -> tuple[float, float]:
    """Return signal and oscillator (W at a detector) that reach the ADC's ratio S.

    ``gain P L = S (shot (P + L) + floor)`` is the hyperbola ``(P - p) (L - p) = k`` with
    ``p = S shot / gain`` and ``k = S floor / gain + p^2``; the laser ``P / path.signal +
    L / path.oscillator`` is least where its gradient is the hyperbola's.
    """
    ratio = 10.0 ** (snr_db_of_bits(machine.converters.adc_bits) / 10.0)
    least = ratio * receiver.shot / receiver.gain
    product = ratio * receiver.floor / receiver.gain + least**2
    if machine.detector.local_oscillator_mw is None:
        slope = path.signal / path.oscillator
        return least + math.sqrt(product * slope), least + math.sqrt(product / slope)
    oscillator_w = machine.detector.local_oscillator_mw * 1e-3
    if oscillator_w <= least:
        raise MachineError(
            f"detector.local_oscillator_mw={machine.detector.local_oscillator_mw:g}: an ADC of "
            f"{machine.converters.adc_bits} bits needs more than {least * 1e3:.3g} mW at "
            f"{machine.clock_ghz:g} GHz, or 'none', or set optics.laser_power_mw"
        )
    return least + product / (oscillator_w - least), oscillator_w


def _divide(
    machine: Machine, receiver: _Receiver, path: _Path, share_w: float
) -> tuple[float, float]:
    """Return signal and oscillator (W at a detector) out of one detector's share of the laser.

    With ``Q`` for what all of the share would give as oscillator, the ratio is proportional to
    ``L (Q - L) / (fixed + slope L)``, whose derivative is 0 at the root below.
    """
    available_w = share_w * path.oscillator
    if machine.detector.local_oscillator_mw is None:
        fixed = receiver.shot * share_w * path.signal + receiver.floor
        slope = receiver.shot * (1.0 - path.signal / path.oscillator)
        root = math.sqrt(fixed**2 + slope * available_w * fixed)
        oscillator_w = available_w * fixed / (fixed + root)
    else:
        oscillator_w = machine.detector.local_oscillator_mw * 1e-3
    if oscillator_w >= available_w:
        detectors = machine.mesh.ports * machine.wavelengths
        raise MachineError(
            f"optics.laser_power_mw={machine.optics.laser_power_mw:g}: the local oscillators of "
            f"one core take {oscillator_w / path.oscillator * detectors * 1e3:.4g} mW; give "
            "more, or 'none', or a smaller detector.local_oscillator_mw"
        )
    return (share_w - oscillator_w / path.oscillator) * path.signal, oscillator_w
