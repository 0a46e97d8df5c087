"""The networks that come with photonpu: one is shipped trained, others are built on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photonpu.errors import InputError
from photonpu.models.unet import UNet, random_weights, to_onnx
from photonpu.registry import Registry

if TYPE_CHECKING:
    import onnx

DATA = Path(__file__).parent / "data"
EVALUATION_FILE = "tumour_eval_128.npz"
EVALUATION_SHA256 = "34a5b86ea8ca2fc1cb78e8d80ff9310d73e440035b17e98e392c87367779535f"


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One network of the zoo.

    Attributes
    ----------
    summary : str
        One line for a list.
    build : callable
        Returns the ``onnx.ModelProto``; its keyword arguments are the entry's options.
    licence : str
        SPDX name.
    file : str or None
        Its file in the package, for a network that is shipped.
    sha256 : str or None
        That file's hash in hexadecimal digits.
    """

    summary: str
    build: Callable[..., onnx.ModelProto]
    licence: str
    file: str | None = None
    sha256: str | None = None


MODELS: Registry[ZooModel] = Registry("model")


def build(name: str, **options: Any) -> onnx.ModelProto:
    """Build or read a network of the zoo.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    **options
        Keyword arguments of the entry's own builder, such as ``features=4`` of `buda_unet`.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    UnknownNameError
        If no model has this name; the message suggests the nearest.
    """
    return MODELS[name].build(**options)


def model_path(name: str) -> Path:
    """Return the file of a network that is shipped.

    Parameters
    ----------
    name : str
        A key of `MODELS`.

    Returns
    -------
    Path

    Raises
    ------
    UnknownNameError
        If no model has this name.
    InputError
        If the network is not shipped but built.
    """
    file = MODELS[name].file
    if file is None:
        raise InputError(f"model '{name}' has no file: build it with zoo.build('{name}')")
    return DATA / file


def evaluation_set() -> Path:
    """Return the shipped evaluation set: synthetic lesions on the MNI152 average anatomy.

    Returns
    -------
    Path
        ``.npz`` with ``image`` and ``mask`` (slices, 128, 128) uint8, ``id`` (slices,),
        ``spacing_mm`` (2,) and ``description``.
    """
    return DATA / EVALUATION_FILE


def tumour_unet() -> onnx.ModelProto:
    """Read the U-Net for tumours in T1 contrast-enhanced MRI that this project trained.

    Returns
    -------
    onnx.ModelProto
        Input ``image`` (batch, 1, 128, 128), standardised by `preprocess.zscore`; output
        ``mask_probability`` of the same shape, mask = output > 0.5.
    """
    import onnx

    return onnx.load(model_path("tumour-unet"))


def buda_unet(
    *, features: int = 32, height: int = 256, width: int = 256, seed: int = 0
) -> onnx.ModelProto:
    """Build the U-Net of Buda et al. (2019) for lower-grade gliomas, with random weights.

    Parameters
    ----------
    features : int
        Channels of the first level; 32 in the paper, which makes 7,763,041 parameters.
    height, width : int
        Sides of the image in pixels, multiples of 16.
    seed : int
        The same seed gives the same weights.

    Returns
    -------
    onnx.ModelProto
        Input ``image`` (batch, 3, height, width): pre-contrast, FLAIR and post-contrast.
    """
    size = UNet(in_channels=3, features=features, levels=4)
    return to_onnx(size, random_weights(size, seed), name="buda-unet", height=height, width=width)


MODELS.register("tumour-unet")(
    ZooModel(
        summary="U-Net for brain tumours in T1 contrast-enhanced MRI, 1x128x128, trained here",
        build=tumour_unet,
        licence="Apache-2.0",
        file="tumour_unet.onnx",
        sha256="3bbb34c8ed9a81043e7f8382b16af5f76d65bc683cb54369a3c9e765ff9d069b",
    )
)
MODELS.register("buda-unet")(
    ZooModel(
        summary="U-Net of Buda et al. for gliomas, 3x256x256, 7.76 M parameters, random weights",
        build=buda_unet,
        licence="Apache-2.0",
    )
)
