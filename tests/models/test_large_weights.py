"""Networks whose weights no protocol buffer holds, evaluated and swept as others are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import photonpu
from photonpu.compiler import reader, weights
from photonpu.compiler.untrusted.checked import Checked
from photonpu.compiler.untrusted.limits import Limits
from photonpu.errors import ModelError
from photonpu.models.datasets import Dataset
from tests.compiler.networks import network, numbers

SMALL = photonpu.Machine.preset("ideal").override({"mesh.ports": 16})
WIDTH = 200
#: Either weight is larger than this, and so is not to be in what onnxruntime is given.
LARGE = 700


def wide(sign: float = 1.0) -> onnx.ModelProto:
    """Return two 1x1 convolutions by way of `WIDTH` channels, whose logit is sign * the image."""
    nodes = [
        helper.make_node("Conv", ["image", "up"], ["middle"], name="up"),
        helper.make_node("Relu", ["middle"], ["positive"]),
        helper.make_node("Conv", ["positive", "down"], ["logit"], name="down"),
    ]
    signs = np.where(np.arange(WIDTH) % 2, -1, 1).astype(np.float32)
    constants = {
        "up": signs[:, None, None, None],
        "down": sign * signs[None, :, None, None] / np.float32(WIDTH / 2),
    }
    return network(nodes, {"image": ["N", 1, 6, 6]}, {"logit": 4}, constants)


def images() -> Dataset:
    pictures = numbers(3, 1, 6, 6)
    return Dataset(
        name="halves",
        images=pictures,
        masks=pictures[:, 0] > 0,
        raw=np.zeros((3, 6, 6), np.uint8),
        ids=("a", "b", "c"),
        spacing_mm=np.ones((3, 2)),
    )


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lower the size that counts as large; fill a list with the bytes onnxruntime is given."""
    monkeypatch.setattr(weights, "LARGE_BYTES", 2 * LARGE)
    monkeypatch.setattr(weights, "SMALL_BYTES", LARGE)
    sizes: list[int] = []
    load = onnxruntime.InferenceSession

    def note(model: bytes, *rest: object, **options: object) -> onnxruntime.InferenceSession:
        sizes.append(len(model))
        return load(model, *rest, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", note)
    return sizes


def test_the_float_network_of_an_evaluation_gets_its_large_weights_beside_it(
    given: list[int],
) -> None:
    model, data = wide(), images()
    program = photonpu.compile(model, SMALL, calibration=data.images)
    given.clear()
    found = photonpu.evaluate(
        program, data, ["dice"], 1, noise="ideal", reference=model, threshold=0, quiet=True
    )
    assert found.score("float", "dice").mean == 1  # the truth is where the image is positive
    outline = len(weights.part(reader.read(model)).model.SerializeToString())
    assert given[0] == outline < len(model.SerializeToString()) - 2 * LARGE


def test_a_sweep_hashes_and_compiles_large_weights_that_stand_apart(given: list[int]) -> None:
    space = {"mesh.ports": [8, 16]}
    one, other = (photonpu.sweep(wide(s), SMALL, space, store=None, quiet=True) for s in (1, -1))
    assert [point.outcome.error for point in (*one.points, *other.points)] == [None] * 4
    assert len({point.id for point in (*one.points, *other.points)}) == 4
    assert max(given) < len(wide().SerializeToString()) - LARGE


def test_a_sweep_reads_its_model_once_and_keeps_the_limits_it_was_read_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    read = reader.read

    def note(model: object, **options: object) -> onnx.ModelProto:
        asked.append(type(model))
        return read(model, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reader, "read", note)
    photonpu.sweep(wide(), SMALL, {"mesh.ports": [8, 16]}, store=None, quiet=True)
    assert asked == [onnx.ModelProto, Checked, Checked]

    data = images()
    free = network([helper.make_node("Relu", ["x"], ["y"])], {"x": ["N", 1, "H", "W"]}, {"y": 4})
    checked = Checked(read(free), "free", Limits(elements=30))
    study = photonpu.sweep(checked, SMALL, {"mesh.ports": [8]}, dataset=data, store=None)
    assert "30 is the limit" in str(study.points[0].outcome.error)


def test_the_stages_are_printed_under_limits_that_are_given() -> None:
    from photonpu.compiler.stages import STAGES, stage_text

    few, small = Limits(nodes=2), Limits(elements=30)
    free = network([helper.make_node("Relu", ["x"], ["y"])], {"x": ["N", 1, "H", "W"]}, {"y": 4})
    for stage in STAGES:
        with pytest.raises(ModelError, match="2 is the limit for nodes"):
            stage_text(wide(), SMALL, stage, limits=few)
        if stage != "read":  # which knows no shapes
            with pytest.raises(ModelError, match="30 is the limit"):
                stage_text(free, SMALL, stage, shapes={"x": (1, 1, 6, 6)}, limits=small)
