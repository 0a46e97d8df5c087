"""What `noise` stands for: names of sources, and how strongly each acts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.mesh import variation
from photonpu.registry import did_you_mean
from photonpu.simulator.noise import NOISES, Named, Strength

Floats = NDArray[np.float64]

_MOST = 1e6  # nothing is so much stronger than a machine says
_DEVIATING = ("splitter", "phase", "heater", "imbalance")  # to whose arrays sources may add
_SETS: dict[str, tuple[str, ...]] = {"ideal": (), "quantised": ("dac", "input_dac", "adc")}


def strengths(noise: Named) -> dict[str, Strength]:
    """Return how strongly each source acts that `noise` switches on.

    Parameters
    ----------
    noise
        ``"ideal"`` (none), ``"quantised"`` (the converters), ``"full"`` (all), the name of one
        source, several of these names, or a mapping of names to strengths: 1 is what the machine
        says, 2 twice the standard deviation, 0 nothing. Later entries replace earlier ones. In
        place of a strength `detector_gain` and `detector_offset` take measured errors, an array
        (cores, ports).

    Returns
    -------
    dict
        In the order of the table; what is off is left out.

    Raises
    ------
    photonpu.registry.UnknownNameError
        A name is in neither table.
    photonpu.errors.InputError
        `noise` is none of these, or a strength makes no sense for its source.
    """
    found: dict[str, Strength] = {}
    for name, strength in _pairs(noise):
        for source in _expanded(name):
            alone = name == source
            found[source] = _checked(source, strength, alone=alone)
    return {name: found[name] for name in NOISES if name in found and np.any(found[name])}


def sources(noise: Named) -> frozenset[str]:
    """Return the names of the sources that `noise` switches on; see `strengths`."""
    return frozenset(strengths(noise))


def described(noise: Named) -> str | tuple[str, ...]:
    """Return `noise` as records have it: one text, or texts, for one meaning.

    ``"shot"`` acts as the machine says, ``"shot=2.0"`` twice as strongly; measured errors have the
    beginning of their SHA-256 in place of a number.
    """
    if isinstance(noise, str):
        return noise
    return tuple(sorted(_described(*pair) for pair in strengths(noise).items()))


def _described(name: str, strength: Strength) -> str:
    if isinstance(strength, np.ndarray):
        return f"{name}={hashlib.sha256(strength.tobytes()).hexdigest()[:16]}"
    return name if strength == 1.0 else f"{name}={strength!r}"


def scaled(
    machine: Machine, chip: Chip, found: Mapping[str, Strength]
) -> tuple[Machine, Chip, dict[str, Strength]]:
    """Return the machine and the chip on which sources of a chip act with their strengths.

    Returns
    -------
    machine, chip
        With all that acts in their numbers.
    strengths
        What acts: what sources add to a chip makes errors of one of the arrays' sources.

    Raises
    ------
    InputError
        Crosstalk beyond that of bare heaters, or a source adds what fits no array.
    """
    if "correlated" in found:
        chip = variation.correlated(chip, machine)
    whole = chip
    for name, strength in found.items():
        if NOISES[name].place != "chip" or not isinstance(strength, float) or strength == 1.0:
            continue
        if name == "crosstalk":
            scaled_crosstalk = machine.phase.crosstalk * strength
            if scaled_crosstalk > 1:
                raise InputError(
                    f"noise source 'crosstalk': {strength:g} times {machine.phase.crosstalk:g} is "
                    "beyond bare heaters, 1; move them closer with mesh.mzi_width_um"
                )
            machine = machine.override({"phase.crosstalk": scaled_crosstalk})
        elif name in SOURCES:
            arrays = {array: getattr(chip, array) * strength for array in SOURCES[name]}
            if name == "imbalance":
                arrays = _passive(arrays, chip)
            chip = replace(chip, **arrays)
    return machine, *_deviating(machine, chip, whole, found)


def _passive(arrays: Mapping[str, Floats], chip: Chip) -> dict[str, Floats]:
    """Return imbalances at which no arm amplifies that did not before."""
    found = {}
    for (name, array), loss in zip(arrays.items(), SOURCES["loss"], strict=True):
        most = np.maximum(2.0 * getattr(chip, loss), np.abs(getattr(chip, name)))
        found[name] = np.clip(array, -most, most)
    return found


def _deviating(
    machine: Machine, chip: Chip, whole: Chip, found: Mapping[str, Strength]
) -> tuple[Chip, dict[str, Strength]]:
    """Return a chip with what sources add to its arrays, and what acts then.

    The sources see the `whole` chip, before any strength.
    """
    acting, arrays = dict(found), dict[str, Any]()
    for name, strength in found.items():
        deviate = NOISES[name].deviate
        if deviate is None or not isinstance(strength, float):
            continue
        added = deviate(machine, whole)
        if not isinstance(added, Mapping):
            raise InputError(
                f"noise source '{name}': its function returned {type(added).__name__}; a mapping "
                "from names of the chip's arrays to what is added is needed"
            )
        for array, error in added.items():
            source = _source_of(name, array, error, chip)
            if source not in acting:
                arrays |= {other: np.zeros_like(getattr(chip, other)) for other in SOURCES[source]}
                acting[source] = 1.0
            arrays[array] = arrays.get(array, getattr(chip, array)) + strength * error
    return replace(chip, **arrays) if arrays else chip, acting


def _source_of(name: str, array: str, error: Floats, chip: Chip) -> str:
    """Return the source that an array belongs to, once it is sure that `error` fits it."""
    known = {part: source for source in _DEVIATING for part in SOURCES[source]}
    if array not in known:
        raise InputError(
            f"noise source '{name}': nothing can be added to '{array}'"
            f"{did_you_mean(array, known) or f'; there are {list(known)}'}"
        )
    shape = getattr(chip, array).shape
    if np.shape(error) != shape:
        raise InputError(
            f"noise source '{name}': '{array}' of shape {np.shape(error)}: give {shape}"
        )
    if not np.isfinite(error).all():
        raise InputError(f"noise source '{name}': '{array}' is not finite")
    return known[array]


def _pairs(noise: Named) -> Iterable[tuple[str, object]]:
    """Return names and strengths in the order in which they are given."""
    if isinstance(noise, str):
        return [(noise, 1.0)]
    if isinstance(noise, Mapping):
        return list(noise.items())
    try:
        return [(name, 1.0) for name in noise]
    except TypeError:
        raise InputError(
            f"noise={noise!r}: give 'ideal', 'quantised', 'full', names of sources, or a mapping "
            "of names to strengths"
        ) from None


def _expanded(name: str) -> Collection[str]:
    """Return the sources that a name stands for."""
    if name == "full":  # whatever is in the table by now
        return tuple(NOISES)
    return _SETS[name] if name in _SETS else (NOISES[name].name,)


def _checked(source: str, strength: object, *, alone: bool) -> Strength:
    """Return the strength of a source, once it is sure that it makes sense.

    One that is given for a preset, not `alone` for a source, leaves switches as they are.
    """
    entry = NOISES[source]
    if isinstance(strength, np.ndarray) and strength.ndim:
        if entry.measured is None:
            named = ", ".join(f"'{name}'" for name in NOISES if NOISES[name].measured)
            raise InputError(
                f"noise source '{source}': no array is taken for it, only for {named}; measured "
                "errors of meshes come with a Chip"
            )
        return _measured(source, strength)
    try:
        value = float(strength)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= _MOST:
        raise InputError(
            f"noise source '{source}': strength {strength!r}; give a number from 0 to {_MOST:g}, "
            "1 for what the machine says"
        )
    if not entry.scales and value not in (0.0, 1.0):
        if alone:
            raise InputError(
                f"noise source '{source}': strength {value:g}; it is on (1) or off (0): change "
                f"{entry.parameter} of the machine"
            )
        return 1.0
    return value


def _measured(source: str, errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return measured errors, once it is sure that they are numbers."""
    if errors.dtype.kind not in "fiu" or not np.isfinite(errors).all():
        raise InputError(f"noise source '{source}': the array holds what is no finite number")
    return errors.astype(np.float64)
