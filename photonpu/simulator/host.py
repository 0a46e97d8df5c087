"""Digital steps: each segment of the graph is one onnxruntime session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.program import HostStep

Array = NDArray[Any]


class HostRunner:
    """One digital segment, loaded.

    Parameters
    ----------
    step
        The segment.
    lean
        Whether to give memory back after each run; to keep it for the next takes less time.

    Raises
    ------
    InputError
        onnxruntime refuses the segment.
    """

    def __init__(self, step: HostStep, *, lean: bool = False) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = not lean
        # Threads that spin while they wait would take the cores from the photonic steps.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # onnxruntime would compute fractions in integers where it finds converters around them.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._step = step
        try:
            self._session = onnxruntime.InferenceSession(
                step.model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own errors have no common root but this
            raise InputError(f"{step.name}: onnxruntime cannot load it: {error}") from error

    def run(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Run the segment on the tensors it names, and return its outputs by name.

        Raises
        ------
        InputError
            onnxruntime fails, for instance on shapes that the model cannot take.
        """
        feeds = {name: values[name] for name in self._step.inputs} | dict(self._step.constants)
        try:
            outputs = self._session.run(list(self._step.outputs), feeds)
        except Exception as error:  # as above
            raise InputError(f"{self._step.name}: onnxruntime cannot run it: {error}") from error
        return dict(zip(self._step.outputs, outputs, strict=True))
