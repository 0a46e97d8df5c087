"""Open models: read, simplified, lowered and cut, they compute what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from photonpu.compiler import passes, reader, simplifier
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.lowerings import LOWERINGS
from tests.compiler.networks import Array, execute, products, run

# Model -> products on the mesh, and those of activations alone, which stay digital.
MODELS = {
    "acasxu_1_1_mlp": (7, 0),
    "brainchop_meshnet5_gwm_3d": (10, 0),
    "cgan32_generator_convtranspose": (5, 0),
    "cifar10_resnet_3b2": (12, 0),
    "cifar10_vit_pgd_2_3_16": (14, 4),
    "ezkl_dcgan28_random": (3, 0),
    "ezkl_lenet5_random": (3, 0),  # nothing stands between its last three: they are one matrix
    "ezkl_multihead_attention_random": (9, 4),
    "mnist_cnn3_torch": (5, 0),
    "mnist_cntk_cnn": (3, 0),
    "mnist_mlp_256x2": (3, 0),
    "mouse_pupil_unet": (14, 0),
    "mouse_pupil_unet_dynamo_opset20": (14, 0),
    "ppocr_cls_mobilenetv3": (54, 0),
    "super_resolution_x3": (4, 0),
}


def compiled(path: Path, feeds: dict[str, Array]) -> Graph:
    shapes = {name: value.shape for name, value in feeds.items()}
    return passes.run(from_model(*simplifier.simplify(reader.read(path), shapes)))


def recorded(assets: Path, name: str) -> tuple[dict[str, Array], list[Array]]:
    model = reader.read(assets / "models" / f"{name}.onnx")
    with np.load(assets / "io" / f"{name}.npz") as arrays:
        inputs = [arrays[key] for key in arrays.files if key.startswith("in0/")]
        outputs = [arrays[key] for key in arrays.files if key.startswith("out0/")]
    return dict(zip((v.name for v in model.graph.input), inputs, strict=True)), outputs


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_its_recorded_output(name: str, assets: Path) -> None:
    feeds, expected = recorded(assets, name)
    graph = compiled(assets / "models" / f"{name}.onnx", feeds)
    for found, want in zip(execute(graph, feeds), expected, strict=True):
        assert np.abs(found - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("name", MODELS)
def test_every_product_with_a_constant_is_on_the_mesh(name: str, assets: Path) -> None:
    feeds, _ = recorded(assets, name)
    graph = compiled(assets / "models" / f"{name}.onnx", feeds)
    mapped = products(graph)
    left = [n for n in graph.nodes if n.op in LOWERINGS and n.name not in mapped]
    assert (len(mapped), len(left)) == MODELS[name]


def test_a_unet_gives_what_onnxruntime_gives_on_a_real_slice(assets: Path) -> None:
    path = assets / "models" / "real_tumour_unet_b8_128.onnx"
    with np.load(assets / "mri" / "tumour_test_128.npz") as arrays:
        feeds = {"image": arrays["image"][:2].astype(np.float32)}
    (want,) = run(path.read_bytes(), feeds)
    graph = compiled(path, feeds)
    (found,) = execute(graph, feeds)
    assert len(products(graph)) == 23
    assert np.abs(found - want).max() <= 1e-5 * np.abs(want).max()
