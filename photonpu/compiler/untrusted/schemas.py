"""What operators take and give, as onnx and onnxruntime have it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

#: Domains whose operators onnxruntime describes, not onnx.
OF_RUNTIME = frozenset({"com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"})

_SINGLE, _OPTIONAL, _VARIADIC = range(3)


@dataclass(frozen=True, slots=True)
class Formal:
    """The inputs, outputs and attributes of one version of an operator.

    Attributes
    ----------
    inputs, outputs
        For each formal parameter: name and kind, 0 for single, 1 for optional, 2 for variadic.
    arity_in, arity_out
        Fewest and most.
    attributes
        Name -> number of its type (as in ``onnx.AttributeProto``), and whether it is required.
    deterministic
        Equal inputs give equal outputs, so that constant inputs are folded.
    """

    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    arity_in: tuple[int, int]
    arity_out: tuple[int, int]
    attributes: Mapping[str, tuple[int, bool]]
    deterministic: bool

    def must_be_given(self, index: int) -> bool:
        """Say whether input `index` may not be empty."""
        return self._kind(self.inputs, index) != _OPTIONAL

    def must_be_named(self, index: int) -> bool:
        """Say whether output `index` may not be empty."""
        return self._kind(self.outputs, index) == _SINGLE

    @staticmethod
    def _kind(parameters: tuple[tuple[str, int], ...], index: int) -> int:
        return parameters[min(index, len(parameters) - 1)][1] if parameters else _SINGLE


@functools.cache
def formal(op: str, version: int, domain: str) -> Formal | None:
    """Return what an operator is in a version of its operator set; None if there is none.

    Parameters
    ----------
    op, domain
        The operator; ``""`` is the domain of ONNX itself.
    version
        Version of the operator set that the model imports.
    """
    if domain in OF_RUNTIME:
        known = [s for s in _of_runtime().get((domain, op), ()) if s.since_version <= version]
        schema = max(known, key=lambda s: s.since_version, default=None)
        return None if schema is None else _formal(schema)
    from onnx import defs

    try:
        found = defs.get_schema(op, min(version, 2**31 - 1), domain)  # it takes 32 bits
    except defs.SchemaError:
        return None
    return None if found.deprecated else _formal(found)


def names(domain: str) -> list[str]:
    """Return the operators of a domain."""
    if domain in OF_RUNTIME:
        return [op for known, op in _of_runtime() if known == domain]
    from onnx import defs

    return sorted({schema.name for schema in defs.get_all_schemas() if schema.domain == domain})


@functools.cache
def _of_runtime() -> Mapping[tuple[str, str], list[Any]]:
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    found: dict[tuple[str, str], list[Any]] = {}
    for schema in runtime.get_all_operator_schema():
        found.setdefault((schema.domain, schema.name), []).append(schema)
    return MappingProxyType(found)


def _formal(schema: Any) -> Formal:
    return Formal(
        inputs=tuple((i.name, _number(i.option)) for i in schema.inputs),
        outputs=tuple((o.name, _number(o.option)) for o in schema.outputs),
        arity_in=(schema.min_input, schema.max_input),
        arity_out=(schema.min_output, schema.max_output),
        attributes=MappingProxyType(
            {n: (_number(a.type), bool(a.required)) for n, a in schema.attributes.items()}
        ),
        deterministic=not getattr(schema, "non_deterministic", False),
    )


def _number(option: Any) -> int:
    """Return the number of a member of an enumeration, onnx's or onnxruntime's."""
    return int(getattr(option, "value", option))
