"""The exception tree."""

from __future__ import annotations

import inspect

import pytest

import photonpu
from photonpu import errors

CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if not issubclass(member, Warning)
]


def drawn_parents() -> dict[str, str | None]:
    """Read the tree at the top of the module: each drawn class and the one it hangs from."""
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip(" ├└─│").split(" ")[0]
        if not name.endswith("Error"):
            continue
        depth = line.index(name)
        above = [(indent, ancestor) for indent, ancestor in above if indent < depth]
        parents[name] = above[-1][1] if above else None
        above.append((depth, name))
    return parents


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_is_below_the_public_root(error: type[Exception]) -> None:
    assert issubclass(error, photonpu.PhotonpuError)


def test_the_tree_is_drawn_as_it_is() -> None:
    actual = {
        error.__name__: None if error is photonpu.PhotonpuError else error.__bases__[0].__name__
        for error in CLASSES
    }
    assert drawn_parents() == actual


def test_an_unsupported_model_is_a_model_error() -> None:
    with pytest.raises(errors.ModelError, match="Sin is not mapped"):
        raise errors.UnsupportedModelError("Sin is not mapped")
