"""Arrays written one by one give the file that the package safetensors writes."""

import io
import os
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors.numpy import save

from photonpu.program import tensors


def written(arrays: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    file = io.BytesIO()
    tensors.write(file, arrays, metadata)
    return file.getvalue()


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda t: t != "__metadata__"),
        st.sampled_from(list(tensors.TYPES)).flatmap(
            lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
        ),
        max_size=6,
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
@settings(max_examples=30)
def test_the_file_is_the_one_that_safetensors_writes(
    arrays: dict[str, NDArray[Any]], text: str
) -> None:
    assert written(arrays, {"key": text}) == save(arrays, metadata={"key": text})


@pytest.mark.parametrize("kind", tensors.TYPES)
def test_arrays_come_in_the_order_of_safetensors(kind: str) -> None:
    arrays = {f"{name}/{i}": np.ones(3, name) for i, name in enumerate([kind, *tensors.TYPES])}
    assert written(arrays, {"a": "b"}) == save(arrays, metadata={"a": "b"})


def test_strided_and_foreign_arrays_are_written_in_order() -> None:
    numbers = np.arange(24.0).reshape(4, 6)
    plain = written({"a": numbers.T.copy(), "b": numbers[:, ::2].copy()}, {})
    assert written({"a": numbers.T.astype(">f8"), "b": numbers[:, ::2]}, {}) == plain


def test_writing_takes_no_memory_for_the_file() -> None:
    arrays = {str(i): np.ones(1 << 20) for i in range(4)}
    with open(os.devnull, "wb") as file:
        tracemalloc.start()
        tensors.write(file, arrays, {"key": "text"})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1 << 20
