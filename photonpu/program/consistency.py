"""What in a program that was read from a file contradicts itself."""

from __future__ import annotations

import numpy as np

from photonpu.program.values import PhotonicStep, Program, ReprogrammedStep, TileBank

_INTEGERS = {"row", "column", "rows", "columns", "core", "turn"}


def problem(program: Program) -> str | None:
    """Return what in a program contradicts itself; None if nothing does."""
    bank, machine = program.tiles, program.machine
    count, ports, mzis = len(bank), machine.mesh.ports, machine.mesh.mzis
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(TileBank.__dataclass_fields__, (count,))
    shapes |= {"theta": (count, 2, mzis), "phi": (count, 2, mzis)}
    shapes |= {"psi": (count, 2, ports), "attenuator": (count, ports)}
    if bank.adc_range.ndim > 1:
        shapes["adc_range"] = (count, ports)
    for name, shape in shapes.items():
        array, kind = getattr(bank, name), np.int32 if name in _INTEGERS else np.float64
        if array.shape != shape or array.dtype != kind:
            return (
                f"array 'tiles/{name}' is {array.dtype} {array.shape}, not {kind.__name__} {shape}"
            )
    if count and not (bank.core.min() >= 0 and bank.core.max() < machine.cores):
        return f"a tile runs on a core that the machine of {machine.cores} has not"
    made = program.programming
    if made is not None:
        sizes = made.chip.cores, made.chip.ports, made.chip.splitter_in.shape[2]
        if sizes != (machine.cores, ports, mzis):
            return f"its chip is of another size than its machine: {sizes}"
        if made.unreachable.shape != (count,) or made.error.shape != (count,):
            return "how its tiles were programmed is told for another number of tiles"
    names = [step.name for step in program.steps]
    if len(set(names)) != len(names):
        return "two steps have one name"
    found = [
        *(_step_problem(step, bank) for step in program.photonic_steps),
        *(_factor_problem(step, ports) for step in program.reprogrammed_steps),
    ]
    return next(filter(None, found), None)


def _factor_problem(step: ReprogrammedStep, ports: int) -> str | None:
    """Return what is wrong with one product of two activations; None if nothing is."""
    tiles = -(-step.rows // ports) * -(-step.columns // ports)
    shapes = (tiles,), (tiles, ports)
    if step.adc_range.dtype != np.float64 or step.adc_range.shape not in shapes:
        return (
            f"step '{step.name}': the ranges of its ADCs are {step.adc_range.dtype} "
            f"{step.adc_range.shape}, not float64 {shapes[0]} or {shapes[1]}"
        )
    if not (step.adc_range > 0).all():
        return f"step '{step.name}': the range of an ADC is not positive"
    return None


def _step_problem(step: PhotonicStep, bank: TileBank) -> str | None:
    """Return what is wrong with one photonic step; None if nothing is."""
    geometry, where = step.geometry, f"step '{step.name}'"
    if not len(geometry.streams) == len(step.tiles) == len(step.vectors):
        return f"{where}: {len(geometry.streams)} streams and {len(step.tiles)} ranges of tiles"
    if step.bias is not None and step.bias.shape != (geometry.out_channels,):
        return f"{where}: its bias has shape {step.bias.shape}, not ({geometry.out_channels},)"
    if step.correction is not None and step.correction.shape != (2, geometry.out_channels):
        return (
            f"{where}: its correction has shape {step.correction.shape}, "
            f"not (2, {geometry.out_channels})"
        )
    for stream, (first, last) in zip(geometry.streams, step.tiles, strict=True):
        if not first <= last <= len(bank):
            return f"{where}: tiles {first} to {last} of {len(bank)}"
        rows, columns = geometry.matrix_shape(stream)
        inside = slice(first, last)
        begin = np.minimum(bank.row[inside], bank.column[inside])
        size = np.minimum(bank.rows[inside], bank.columns[inside])
        widest = np.maximum(bank.rows[inside], bank.columns[inside])
        if (
            (begin < 0).any()
            or (size < 1).any()
            or (widest > bank.ports).any()
            or (bank.row[inside] + bank.rows[inside] > rows).any()
            or (bank.column[inside] + bank.columns[inside] > columns).any()
        ):
            return f"{where}: a tile lies outside its matrix of {rows} x {columns}"
    return None
