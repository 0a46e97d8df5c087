"""The zoo: its table, the file that ships, and the U-Net of the literature."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import onnxruntime
import pytest
from onnx import shape_inference

from photonpu.errors import InputError
from photonpu.models import zoo
from photonpu.models.preprocess import zscore
from photonpu.models.unet import UNet, random_weights, to_onnx
from photonpu.registry import UnknownNameError

SHIPPED = [name for name, model in zoo.MODELS.items() if model.file]


def session(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    content = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def dice(probability: np.ndarray, truth: np.ndarray) -> list[float]:
    """Score as MONAI does: two empty masks count 1."""
    scores = []
    for prediction, mask in zip(probability > 0.5, truth > 0, strict=True):
        total = int(prediction.sum()) + int(mask.sum())
        scores.append(2 * int((prediction & mask).sum()) / total if total else 1.0)
    return scores


def multiplications(model: onnx.ModelProto) -> int:
    """Count the multiply-accumulates of one slice by the definition of each operator."""
    inferred = shape_inference.infer_shapes(model)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim][1:] for v in values}
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    count = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            kernel = weights[node.input[1]]
            count += math.prod(shapes[node.output[0]]) * math.prod(kernel[1:])
        elif node.op_type == "ConvTranspose":
            kernel = weights[node.input[1]]
            count += math.prod(shapes[node.input[0]]) * math.prod(kernel[1:])
    return count


@pytest.mark.parametrize("name", list(zoo.MODELS))
def test_every_model_of_the_zoo_is_valid_onnx_of_opset_17_or_later(name: str) -> None:
    model = zoo.build(name)

    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version >= 17
    assert zoo.MODELS[name].summary
    assert zoo.MODELS[name].licence == "Apache-2.0"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_has_the_recorded_hash_and_is_below_5_mb(name: str) -> None:
    content = zoo.model_path(name).read_bytes()

    assert hashlib.sha256(content).hexdigest() == zoo.MODELS[name].sha256
    assert len(content) < 5_000_000


def test_the_evaluation_set_has_the_recorded_hash_and_is_below_3_mb() -> None:
    content = zoo.evaluation_set().read_bytes()

    assert hashlib.sha256(content).hexdigest() == zoo.EVALUATION_SHA256
    assert len(content) < 3_000_000


def test_the_model_card_names_both_hashes_and_says_synthetic() -> None:
    card = (zoo.DATA / "MODEL_CARD.md").read_text(encoding="utf-8")

    assert str(zoo.MODELS["tumour-unet"].sha256) in card
    assert zoo.EVALUATION_SHA256 in card
    assert "synthetic" in card.lower()
    assert "not a medical device" in card


def test_the_evaluation_set_says_that_it_is_synthetic_and_a_quarter_has_no_lesion() -> None:
    with np.load(zoo.evaluation_set()) as archive:
        image, mask = archive["image"], archive["mask"]
        description, ids, spacing = (
            str(archive["description"]),
            archive["id"],
            archive["spacing_mm"],
        )

    assert description.startswith("SYNTHETIC")
    assert image.dtype == mask.dtype == np.uint8
    assert image.shape == mask.shape == (len(ids), 128, 128)
    assert set(np.unique(mask)) == {0, 1}
    assert spacing.shape == (2,)
    assert sum(not m.any() for m in mask) == len(ids) // 4


def test_the_tumour_unet_takes_any_batch_and_returns_probabilities() -> None:
    run = session(zoo.model_path("tumour-unet"))
    image = np.random.default_rng(0).standard_normal((3, 1, 128, 128)).astype(np.float32)

    (output,) = run.run(["mask_probability"], {"image": image})

    assert output.shape == (3, 1, 128, 128)
    assert output.min() >= 0
    assert output.max() <= 1


def test_the_tumour_unet_scores_dice_of_080_on_the_evaluation_set() -> None:
    with np.load(zoo.evaluation_set()) as archive:
        images = np.stack([zscore(image) for image in archive["image"]])[:, None]
        truth = archive["mask"]

    (output,) = session(zoo.model_path("tumour-unet")).run(None, {"image": images})

    assert np.mean(dice(output[:, 0], truth)) >= 0.80


def test_the_tumour_unet_scores_dice_of_080_on_the_43_real_slices(assets: Path) -> None:
    with np.load(assets / "mri" / "tumour_test_128.npz") as archive:
        images, truth = archive["image"], archive["mask"]

    (output,) = session(zoo.model_path("tumour-unet")).run(None, {"image": images})

    assert len(truth) == 43
    assert np.mean(dice(output[:, 0], truth)) >= 0.80


def test_the_buda_unet_has_the_published_parameters_and_multiplications() -> None:
    model = zoo.build("buda-unet")

    trained = sum(
        math.prod(tensor.dims)
        for tensor in model.graph.initializer
        if not tensor.name.endswith((".mean", ".variance"))
    )
    assert trained == 7_763_041
    assert round(multiplications(model) / 1e9, 3) == 12.071


def test_a_small_buda_unet_keeps_its_activations_near_one() -> None:
    model = zoo.build("buda-unet", features=4, height=64, width=48, seed=3)
    for layer in ("bottleneck.relu2", "decoder1.relu2"):
        model.graph.output.append(onnx.helper.make_tensor_value_info(layer, 1, None))
    image = np.random.default_rng(0).standard_normal((2, 3, 64, 48)).astype(np.float32)

    output, deep, last = session(model).run(None, {"image": image})

    assert output.shape == (2, 1, 64, 48)
    assert 0.1 < deep.std() < 10
    assert 0.1 < last.std() < 10
    assert output.std() > 0.01


def test_the_same_seed_builds_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (
        zoo.build("buda-unet", features=2, height=16, width=16, seed=seed).SerializeToString()
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_a_unet_of_one_level_matches_a_calculation_by_hand() -> None:
    size = UNet(in_channels=1, features=1, levels=1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in size.tensors().items()}
    for name in weights:
        if name.endswith(("gamma", "variance")):
            weights[name] += 1
    for block in ("encoder1", "decoder1"):
        weights[f"{block}.conv1.weight"][0, -1, 1, 1] = 1
        weights[f"{block}.conv2.weight"][0, 0, 1, 1] = 1
    weights["head.weight"] += 2
    weights["head.bias"] -= 1
    image = np.arange(-2, 2, dtype=np.float32).reshape(1, 1, 2, 2)

    (output,) = session(to_onnx(size, weights, name="hand", height=2, width=2)).run(
        None, {"image": image}
    )

    # Through the skip alone: relu(x), four normalisations by sqrt(1 + 1e-5), 2 x - 1, sigmoid.
    logits = 2 * np.maximum(image, 0) / (1 + 1e-5) ** 2 - 1
    npt.assert_allclose(output, 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="no model is called 'buda-une'; did you mean"):
        zoo.build("buda-une")


def test_a_model_without_a_file_says_how_to_build_it() -> None:
    with pytest.raises(InputError, match=r"model 'buda-unet' has no file: build it with zoo.build"):
        zoo.model_path("buda-unet")


def test_an_image_that_does_not_halve_often_enough_is_refused() -> None:
    with pytest.raises(InputError, match="100 x 128 pixels: 4 levels need multiples of 16"):
        zoo.build("buda-unet", features=2, height=100, width=128)


def test_a_weight_of_another_shape_is_refused_by_name() -> None:
    size = UNet(features=2, levels=1)
    weights = random_weights(size, seed=0)
    del weights["head.bias"]

    with pytest.raises(InputError, match=r"weight 'head.bias': \(1,\) is needed and nothing"):
        to_onnx(size, weights, name="broken", height=4, width=4)


def test_a_unet_without_features_is_refused() -> None:
    with pytest.raises(InputError, match=r"UNet.features=0: it must be 1 or more"):
        UNet(features=0)
