"""Types and shapes that follow from a model alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from photonpu.compiler.untrusted import checks
from photonpu.compiler.untrusted.walk import quoted
from photonpu.errors import ModelError

if TYPE_CHECKING:
    import onnx


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the types and shapes that onnx infers; no data is propagated.

    Raises
    ------
    ModelError
        The types or shapes that it states contradict those of its operators.
    """
    from onnx import shape_inference

    try:
        return shape_inference.infer_shapes(model)
    except shape_inference.InferenceError as error:
        raise ModelError(
            f"model {quoted(model.graph.name)} contradicts itself: {checks.first_line(error)}; "
            "export it again"
        ) from error
