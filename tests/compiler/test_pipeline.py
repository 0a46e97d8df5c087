"""Whole compilations: what the program computes is what the model computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import photonpu
from photonpu import keyed
from photonpu.errors import InputError, ModelError, PhotonpuWarning, UnsupportedModelError
from photonpu.hardware import Machine
from tests.compiler import networks

SMALL = Machine.preset("mzi64-eo").override({"mesh.ports": 8})


def network(batch: int | str = "batch", size: int | str = 6) -> onnx.ModelProto:
    """Return Conv, Relu, ConvTranspose of stride 2, a skip, and a global mean."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.standard_normal((5, 2, 3, 3)),
        "b1": rng.standard_normal(5),
        "w2": rng.standard_normal((5, 3, 2, 2)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("ConvTranspose", ["r", "w2"], ["u"], "up", strides=[2, 2]),
        helper.make_node("ReduceMean", ["u"], ["m"], "mean", axes=[1, 2, 3]),
        helper.make_node("Sub", ["u", "m"], ["y"], "skip"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("x", TensorProto.FLOAT, [batch, 2, size, size])],
        [value("y", TensorProto.FLOAT, [batch, 3, None, None])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def samples(count: int = 3, size: int = 6) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 2, size, size)).astype(np.float32)


def by_onnxruntime(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    import onnxruntime  # after photonpu, which turns its telemetry off

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def test_the_ideal_program_computes_what_onnxruntime_does() -> None:
    x = samples()

    program = photonpu.compile(network(), SMALL, calibration=x)

    (y,) = photonpu.Session(program, "ideal").run(None, {"x": x})
    (expected,) = by_onnxruntime(network(), {"x": x})
    npt.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


def test_a_saved_program_gives_the_same_bits(tmp_path: Path) -> None:
    x = samples()
    program = photonpu.compile(network(), SMALL, calibration=x)
    program.save(tmp_path / "p.ppu")
    back = photonpu.Program.load(tmp_path / "p.ppu")

    for noise in ("ideal", "full"):
        (one,) = photonpu.Session(program, noise).run(None, {"x": x})
        (other,) = photonpu.Session(back, noise).run(None, {"x": x})
        npt.assert_array_equal(one, other)


def test_noise_does_not_depend_on_the_batch() -> None:
    x = samples(4)
    session = photonpu.Session(photonpu.compile(network(), SMALL, calibration=x))

    (whole,) = session.run(None, {"x": x})
    parts = [session.run(None, {"x": x[i : i + 1]}, first=i)[0] for i in range(4)]

    npt.assert_array_equal(np.concatenate(parts), whole)


def test_every_token_of_every_sample_meets_noise_of_its_own() -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tokens",
        [value("x", TensorProto.FLOAT, ["batch", 3, 4])],
        [value("y", TensorProto.FLOAT, ["batch", 3, 4])],
        [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x = np.ones((5, 3, 4), np.float32)
    session = photonpu.Session(photonpu.compile(model, SMALL, calibration=x), "thermal")

    (whole,) = session.run(None, {"x": x})
    (last,) = session.run(None, {"x": x[:1]}, first=4)

    assert len(np.unique(whole.reshape(15, 4), axis=0)) == 15
    npt.assert_array_equal(last[0], whole[4])


def test_the_text_names_every_step() -> None:
    program = photonpu.compile(network(), SMALL, calibration=samples(), name="tiny")

    # 5 x 18 on 8 ports: 1 x 3 tiles; 12 x 5: 2 tiles. 36 windows; Conv's 4 taps are one stream.
    assert program.text() == (
        "program tiny for mzi64-eo: 2 products in 5 tiles of 8 ports, 2 digital steps\n"
        "input x: float32[batch, 2, 6, 6]\n"
        "mesh    a = Conv(x): 5x18 over 36 vectors in 3 tiles\n"
        "digital r = [Relu](a)\n"
        "mesh    u = ConvTranspose(r): 12x5 over 36 vectors in 2 tiles\n"
        "digital y = [ReduceMean, Sub](u)\n"
        "output y: float32[batch, 3, 12, 12]\n"
    )


def test_no_product_with_an_inserted_zero_is_streamed() -> None:
    program = photonpu.compile(network(), SMALL, calibration=samples())

    up = program.photonic_steps[1]
    # Each of 36 inputs meets 5 x 3 channels and 4 taps once; with zeros inserted: 144 * 60.
    assert up.macs == 36 * 5 * 3 * 4


def test_without_calibration_a_warning_states_the_default() -> None:
    with pytest.warns(PhotonpuWarning, match="converter ranges come from one sample of standard"):
        program = photonpu.compile(network(), SMALL)

    assert "converter ranges come from one sample" in program.notes[0]


def test_ranges_are_the_largest_values_that_calibration_saw() -> None:
    x = samples()
    program = photonpu.compile(network(), SMALL, calibration=x)

    conv, up = program.photonic_steps
    assert conv.input_range == pytest.approx(np.abs(x).max())
    extended = network()
    extended.graph.output.append(onnx.ValueInfoProto(name="r"))
    relu = by_onnxruntime(extended, {"x": x})[1]
    assert up.input_range == pytest.approx(np.abs(relu).max(), rel=1e-5)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (samples(2, size=5), r"calibration of input 'x' is float32 \(2, 2, 5, 5\)"),
        (np.full((1, 2, 6, 6), np.nan, np.float32), "holds NaN or infinity: clean it"),
        (samples(0), "0.* samples: each input needs as many"),
        ({"y": samples()}, "calibration names y and the model has inputs x"),
    ],
)
def test_calibration_that_does_not_fit_is_refused(calibration: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        photonpu.compile(network(), SMALL, calibration=calibration)  # type: ignore[arg-type]


def test_free_axes_are_fixed_by_shapes_or_by_calibration_and_the_batch_stays_free() -> None:
    free = network(size="size")
    with pytest.raises(UnsupportedModelError, match="'x' has free axes .* as in --shape x="):
        photonpu.compile(free, SMALL)

    by_shape = photonpu.compile(free, SMALL, shapes={"x": (1, 2, 6, 6)}, calibration=samples())
    by_data = photonpu.compile(free, SMALL, calibration=samples())

    assert by_shape.inputs[0].shape == by_data.inputs[0].shape == ("batch", 2, 6, 6)


def test_a_network_without_products_runs_digitally_and_says_so() -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [value("x", TensorProto.FLOAT, [3])],
        [value("y", TensorProto.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x = np.array([-1, 0, 2], np.float32)

    program = photonpu.compile(model, SMALL, calibration=x)

    assert program.notes == ("no operator of this model runs on the mesh",)
    npt.assert_array_equal(photonpu.Session(program).run(None, {"x": x})[0], [0, 0, 2])


def sequence(at: str) -> onnx.ModelProto:
    """Return a network with a sequence of tensors of two sizes, read at the index `at`."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Concat", ["x", "x"], ["xx"], axis=0),
        helper.make_node("SequenceConstruct", ["x", "xx"], ["s"]),
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Size", ["p"], ["late"]),
        helper.make_node("Size", ["x"], ["early"]),
        helper.make_node("Equal", ["early", at], ["same"]),
        helper.make_node("Cast", ["same"], ["index"], to=TensorProto.INT64),
        helper.make_node("SequenceAt", ["s", "index"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sequence",
        [value("x", TensorProto.FLOAT, ["batch", 4])],
        [value("p", TensorProto.FLOAT, ["batch", 4]), value("z", TensorProto.FLOAT, [None, 4])],
        [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def ordered(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put nodes in an order in which they can run."""
    waiting, known = list(model.graph.node), {"x", "w"}
    del model.graph.node[:]
    while waiting:
        node = next(node for node in waiting if known.issuperset(node.input))
        waiting.remove(node)
        model.graph.node.append(node)
        known.update(node.output)
    return model


@pytest.mark.parametrize("at", ["early", "late"])
def test_a_sequence_of_tensors_stays_inside_a_digital_segment(at: str) -> None:
    x = samples(1)[:, 0, 0, :4]

    program = photonpu.compile(sequence(at), SMALL, calibration=x)

    p, z = photonpu.Session(program, "ideal").run(["p", "z"], {"x": x})
    npt.assert_allclose(p, x, atol=1e-5)
    npt.assert_array_equal(z, np.concatenate([x, x]))


def test_a_sequence_read_before_and_behind_a_product_is_refused() -> None:
    x = samples(1)[:, 0, 0, :4]
    model = sequence("late")
    length = helper.make_node("SequenceLength", ["s"], ["length"])
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    model.graph.node.extend([length, helper.make_node("Cast", ["length"], ["f"], to=1)])
    model.graph.node.append(helper.make_node("Mul", ["x", "f"], ["scaled"]))
    product.input[0] = "scaled"

    with pytest.raises(UnsupportedModelError, match="'s' passes between the mesh and .* no tensor"):
        photonpu.compile(ordered(model), SMALL, calibration=x)


MODELS = [
    "acasxu_1_1_mlp",
    "brainchop_meshnet5_gwm_3d",
    "cgan32_generator_convtranspose",
    "cifar10_resnet_3b2",
    "cifar10_vit_pgd_2_3_16",
    "ezkl_dcgan28_random",
    "ezkl_lenet5_random",
    "ezkl_multihead_attention_random",
    "mnist_cnn3_torch",
    "mnist_cntk_cnn",
    "mnist_mlp_256x2",
    "mouse_pupil_unet",
    "mouse_pupil_unet_dynamo_opset20",
    "ppocr_cls_mobilenetv3",
    "super_resolution_x3",
]


@pytest.mark.parametrize("name", MODELS)
def test_every_open_model_computes_what_onnxruntime_does(name: str, assets: Path) -> None:
    model = assets / "models" / f"{name}.onnx"
    with np.load(assets / "io" / f"{name}.npz") as arrays:
        feeds = {k.removeprefix("in0/"): arrays[k] for k in arrays if k.startswith("in0/")}
        expected = {k.removeprefix("out0/"): arrays[k] for k in arrays if k.startswith("out0/")}
    machine = Machine.preset("ideal").override({"mesh.ports": 16})

    program = photonpu.compile(model, machine, calibration=feeds)

    outputs = photonpu.Session(program, "ideal").run(list(expected), feeds)
    for y, (key, want) in zip(outputs, expected.items(), strict=True):
        npt.assert_allclose(y, want, atol=1e-5 * np.abs(want).max(), err_msg=key)


def test_an_output_that_onnxruntime_leaves_empty_is_refused_by_name() -> None:
    # It fills a normalisation's statistics for a training_mode of 1 alone.
    names = ("s", "b", "m", "v")
    node = helper.make_node(
        "BatchNormalization", ["x", *names], ["y", "mean", "var"], training_mode=255
    )
    constants = {name: np.ones(3, np.float32) for name in names}
    model = networks.network([node], {"x": [2, 3, 4]}, {"y": 3, "mean": 1, "var": 1}, constants)
    with pytest.raises(ModelError, match="output 'mean': onnxruntime gives no tensor for it; take"):
        photonpu.compile(model, calibration=networks.numbers(2, 3, 4))


def test_an_input_that_needs_samples_is_refused_before_any_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def draw(*key: object, **options: object) -> None:
        raise AssertionError("numbers were drawn for an input that may be large")

    monkeypatch.setattr(keyed, "normal_array", draw)
    nodes = [helper.make_node("Reshape", ["x", "sizes"], ["y"])]
    model = networks.network(nodes, {"x": [2, 3], "sizes": [1]}, {"y": 1})
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(InputError, match="input 'sizes' is int64: give calibration= samples of it"):
        photonpu.compile(model)


def test_an_input_too_large_to_be_drawn_is_refused_before_any_is() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = networks.network(nodes, {"x": [1, 2**27]}, {"y": 2})

    with pytest.raises(InputError, match="'x' has 134217728 numbers and 67108864 are the most"):
        photonpu.compile(model)
