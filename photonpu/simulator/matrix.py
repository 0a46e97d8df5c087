"""One matrix on one machine, for those who have no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.program import (
    Geometry,
    PhotonicStep,
    Program,
    Stream,
    TensorInfo,
    Window,
)
from photonpu.program.cutting import cut
from photonpu.program.tiles import bank
from photonpu.simulator.noise import Named
from photonpu.simulator.session import Session


class PhotonicMatrix:
    """A matrix decomposed into phases, that multiplies vectors as a chip does.

    Parameters
    ----------
    weight
        (M, K) real matrix.
    machine
        The machine, or the name of a preset.
    noise, chip, seed, sampling
        As for `photonpu.Session`.
    input_range
        Full scale of the input DAC: the largest absolute input that is represented.

    Attributes
    ----------
    shape
        (M, K).
    program
        The program of this one product, its batch axis ``n`` free.

    Raises
    ------
    InputError
        The matrix is not two-dimensional, is empty, or holds NaN or infinity; the range is not a
        positive number.

    Examples
    --------
    >>> import numpy as np
    >>> matrix = PhotonicMatrix(np.eye(3), noise="ideal")
    >>> np.round(matrix @ np.array([1.0, 0.5, -1.0]), 6)
    array([ 1. ,  0.5, -1. ], dtype=float32)
    """

    def __init__(
        self,
        weight: ArrayLike,
        machine: Machine | str = "mzi64-eo",
        *,
        noise: Named = "ideal",
        chip: int | Chip = 0,
        seed: int = 0,
        input_range: float = 1.0,
        sampling: str = "exact",
    ) -> None:
        matrix = np.asarray(weight, np.float64)
        if matrix.ndim != 2 or matrix.size == 0:
            raise InputError(f"a matrix of shape {matrix.shape}: (outputs, inputs) is needed")
        if not np.isfinite(matrix).all():
            raise InputError("the matrix holds NaN or infinity; clean it first")
        if not (np.isfinite(input_range) and input_range > 0):
            raise InputError(f"input_range={input_range}: a positive number is needed")
        machine = Machine.of(machine)
        self.shape = (matrix.shape[0], matrix.shape[1])
        self.program = _program(matrix, machine, float(input_range))
        self._session = Session(self.program, noise, chip, seed, sampling=sampling)

    def __matmul__(self, x: ArrayLike) -> NDArray[np.float32]:
        """Multiply a vector (K,) or the columns of a matrix (K, n).

        Raises
        ------
        InputError
            `x` has another length than the matrix has columns.
        """
        columns = np.asarray(x, np.float32)
        if columns.ndim not in (1, 2) or columns.shape[0] != self.shape[1]:
            raise InputError(
                f"a matrix of shape {self.shape} cannot multiply an array of shape "
                f"{columns.shape}: its first axis must be {self.shape[1]}"
            )
        rows = columns.reshape(self.shape[1], -1).T
        (y,) = self._session.run(None, {"x": np.ascontiguousarray(rows)})
        return np.asarray(y.T.reshape(self.shape[0], *columns.shape[1:]))


def _program(matrix: NDArray[np.float64], machine: Machine, input_range: float) -> Program:
    """Compile the smallest program: one product, and an ADC that no output can overrun."""
    outputs, inputs = matrix.shape
    phases = bank(*cut(matrix[None], machine.mesh.ports), machine.mesh.topology, machine.cores)
    window = Window((), (), (), (), ())
    step = PhotonicStep(
        name="matrix",
        op="MatMul",
        input="x",
        output="y",
        geometry=Geometry("channels", 1, inputs, outputs, (Stream(window, ((),)),)),
        tiles=((0, len(phases)),),
        vectors=(1,),
        input_range=input_range,
        bias=None,
        in_elements=inputs,
        out_elements=outputs,
        macs=matrix.size,
    )
    return Program(
        name="matrix",
        machine=machine,
        inputs=(TensorInfo("x", "float32", ("n", inputs)),),
        outputs=(TensorInfo("y", "float32", ("n", outputs)),),
        steps=(step,),
        tiles=phases,
        model_sha256="",
        parameters=matrix.size,
    )
