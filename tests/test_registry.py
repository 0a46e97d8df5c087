"""Tables of named entries."""

from __future__ import annotations

import re

import pytest

from photonpu.errors import PhotonpuError
from photonpu.registry import Registry, UnknownNameError, did_you_mean


@pytest.fixture
def shapes() -> Registry[int]:
    """Return a table of two entries: how many corners a shape has."""
    table = Registry[int]("shape")
    table.register("triangle")(3)
    table.register("square")(4)
    return table


def test_an_entry_is_found_by_its_name(shapes: Registry[int]) -> None:
    assert shapes["square"] == 4


def test_the_decorator_hands_its_argument_on_untouched() -> None:
    table = Registry[type]("shape")

    @table.register("round")
    class Round:
        """A shape."""

    assert table["round"] is Round


def test_names_keep_the_order_of_registration(shapes: Registry[int]) -> None:
    assert list(shapes) == ["triangle", "square"]
    assert len(shapes) == 2


def test_an_unknown_name_is_answered_with_the_nearest_one(shapes: Registry[int]) -> None:
    message = "no shape is called 'squar'; did you mean 'square'? There are: triangle, square"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(message)}$"):
        shapes["squar"]


def test_a_name_near_to_nothing_is_answered_with_all_names(shapes: Registry[int]) -> None:
    message = "no shape is called 'xyz'; there are: triangle, square"
    with pytest.raises(UnknownNameError, match=f"^{message}$"):
        shapes["xyz"]


def test_an_empty_table_offers_nothing() -> None:
    with pytest.raises(UnknownNameError, match="^no shape is called 'xyz'$"):
        Registry[int]("shape")["xyz"]


def test_an_unknown_name_is_both_our_error_and_a_key_error(shapes: Registry[int]) -> None:
    with pytest.raises(PhotonpuError):
        shapes["xyz"]
    assert "xyz" not in shapes
    assert shapes.get("xyz") is None


def test_a_name_is_registered_once_only(shapes: Registry[int]) -> None:
    with pytest.raises(ValueError, match=r"^shape 'square' is registered twice$"):
        shapes.register("square")(5)
    assert shapes["square"] == 4


def test_did_you_mean_is_empty_without_candidates() -> None:
    assert did_you_mean("mesh", []) == ""
