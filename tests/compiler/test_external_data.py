"""Weights in other files: good ones load, and no file that is not the model's own is ever read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from photonpu.compiler import reader
from photonpu.compiler.graph import from_model
from photonpu.errors import ModelError

WEIGHT = np.arange(1200, dtype=np.float32).reshape(3, 400)
SIZE = WEIGHT.nbytes


def elsewhere(**place: str | int) -> onnx.TensorProto:
    """Return a tensor like `WEIGHT` that says where its data are."""
    tensor = onnx.TensorProto(
        name="w",
        data_type=TensorProto.FLOAT,
        dims=WEIGHT.shape,
        data_location=TensorProto.EXTERNAL,
    )
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def model(nodes: list[onnx.NodeProto], stored: list[onnx.TensorProto]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "outer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 400])],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")


def as_initializer(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([PRODUCT], [tensor])


def as_attribute(tensor: onnx.TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["w"], value=tensor), PRODUCT], [])


def inside_a_branch(tensor: onnx.TensorProto) -> onnx.ModelProto:
    output = [helper.make_tensor_value_info("y1", TensorProto.FLOAT, [2, 400])]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y1"])]
    branch = helper.make_graph(nodes, "inner", [], output, [tensor])
    choice = helper.make_node("If", ["go"], ["y"], then_branch=branch, else_branch=branch)
    return model([choice], [helper.make_tensor("go", TensorProto.BOOL, [], [True])])


def inside_a_function(tensor: onnx.TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), PRODUCT]
    opsets = [helper.make_opsetid("", 17)]
    outer = model([helper.make_node("Product", ["x"], ["y"], domain="own")], [])
    outer.functions.append(helper.make_function("own", "Product", ["x"], ["y"], nodes, opsets))
    outer.opset_import.append(helper.make_opsetid("own", 1))
    return outer


POSITIONS = [as_initializer, as_attribute, inside_a_branch, inside_a_function]


def secret(folder: Path) -> Path:
    """Write a file that no model in ``folder / "model"`` may read."""
    path = folder / "secret.bin"
    path.write_bytes(WEIGHT.tobytes())
    return path


def absolute(folder: Path) -> dict[str, str | int]:
    return {"location": str(secret(folder))}


def absolute_inside(folder: Path) -> dict[str, str | int]:
    (folder / "model" / "w.bin").write_bytes(WEIGHT.tobytes())
    return {"location": str(folder / "model" / "w.bin")}


def parent(folder: Path) -> dict[str, str | int]:
    return {"location": f"../{secret(folder).name}"}


def parent_and_back(folder: Path) -> dict[str, str | int]:
    (folder / "model" / "w.bin").write_bytes(WEIGHT.tobytes())
    return {"location": "../model/w.bin"}


def parent_with_backslash(folder: Path) -> dict[str, str | int]:
    return {"location": f"..\\{secret(folder).name}"}


def symlink(folder: Path) -> dict[str, str | int]:
    (folder / "model" / "w.bin").symlink_to(secret(folder))
    return {"location": "w.bin"}


def symlink_of_a_folder(folder: Path) -> dict[str, str | int]:
    (folder / "model" / "sub").symlink_to(secret(folder).parent)
    return {"location": "sub/secret.bin"}


def hard_link(folder: Path) -> dict[str, str | int]:
    os.link(secret(folder), folder / "model" / "w.bin")
    return {"location": "w.bin"}


def placed(**place: str | int) -> Callable[[Path], dict[str, str | int]]:
    """Return an attack on a file that is good in itself."""

    def attack(folder: Path) -> dict[str, str | int]:
        (folder / "model" / "w.bin").write_bytes(WEIGHT.tobytes())
        return {"location": "w.bin", **place}

    return attack


def device(folder: Path) -> dict[str, str | int]:
    try:
        os.mknod(folder / "model" / "w.bin", 0o20666, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root can make devices")
    return {"location": "w.bin", "length": SIZE}


def pipe(folder: Path) -> dict[str, str | int]:
    os.mkfifo(folder / "model" / "w.bin")  # to open it would wait for ever
    return {"location": "w.bin", "length": SIZE}


def directory(folder: Path) -> dict[str, str | int]:
    (folder / "model" / "w.bin").mkdir()
    return {"location": "w.bin"}


def missing(folder: Path) -> dict[str, str | int]:
    return {"location": "w.bin"}


def percent(folder: Path) -> dict[str, str | int]:
    secret(folder)
    return {"location": "%2e%2e/secret.bin"}


#: Each attack with what its refusal says.
ATTACKS: dict[str, tuple[Callable[[Path], dict[str, str | int]], str]] = {
    "absolute path": (absolute, "is outside the directory of the model"),
    "absolute path inside": (absolute_inside, "is outside the directory of the model"),
    "parent": (parent, "'../secret.bin' is outside the directory of the model"),
    "parent and back": (parent_and_back, "is outside the directory of the model"),
    "parent with backslash": (parent_with_backslash, "is outside the directory of the model"),
    "symbolic link": (symlink, "'w.bin' passes a symbolic link: copy the file itself"),
    "symbolic link of a folder": (symlink_of_a_folder, "'sub/secret.bin' passes a symbolic link"),
    "hard link": (hard_link, "'w.bin' is a hard link to a file elsewhere: copy the file"),
    "huge length": (placed(length=2**62), "length 4611686018427387904 of 'w.bin', and its shape"),
    "short length": (placed(length=SIZE - 4), "its shape and type take 4800 bytes"),
    "negative length": (placed(length=-1), "length '-1' is no number of bytes"),
    "huge offset": (
        placed(offset=2**62),
        "offset 4611686018427387904 and length 4800 reach",
    ),
    "offset past the end": (placed(offset=4), "offset 4 and length 4800 reach beyond 'w.bin' of"),
    "negative offset": (placed(offset=-4), "offset '-4' is no number of bytes"),
    "offset that is text": (placed(offset="٤"), "is no number of bytes"),
    "device": (device, "'w.bin' is no plain file"),
    "pipe": (pipe, "'w.bin' is no plain file"),
    "directory": (directory, "'w.bin' is no plain file"),
    "missing": (missing, "'w.bin': No such file or directory"),
    "empty location": (placed(location=""), "'' is no name of a file"),
    "no character": (placed(location="w.bin\0.txt"), "'w.bin\\x00.txt' is no name of a file"),
    "the folder itself": (placed(location="."), "'.' is no plain file"),
    "percent": (percent, "'%2e%2e/secret.bin': No such file or directory"),
    "file as a folder": (placed(location="w.bin/w.bin"), "'w.bin/w.bin': Not a directory"),
}


def write(folder: Path, proto: onnx.ModelProto) -> Path:
    path = folder / "model" / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return tmp_path


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_wherever_the_tensor_is(
    attack: str, position: Callable[[onnx.TensorProto], onnx.ModelProto], folder: Path
) -> None:
    prepare, said = ATTACKS[attack]
    path = write(folder, position(elsewhere(**prepare(folder))))
    with pytest.raises(ModelError, match=r"keeps .*in another file that cannot be read: .*") as it:
        reader.read(path)
    assert said in str(it.value)


@pytest.mark.parametrize("position", POSITIONS)
def test_bytes_and_models_in_memory_read_no_other_file(
    position: Callable[[onnx.TensorProto], onnx.ModelProto],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder / "model")
    Path("w.bin").write_bytes(WEIGHT.tobytes())
    proto = position(elsewhere(location="w.bin"))
    for given in (proto, proto.SerializeToString()):
        with pytest.raises(ModelError, match=r"in another file: give the path of the \.onnx file"):
            reader.read(given)


def stored_in(proto: onnx.ModelProto) -> NDArray[np.float32]:
    """Return the weight of a model that was read, wherever it is."""
    inside = [proto.graph]
    while inside:
        graph = inside.pop()
        for tensor in graph.initializer:
            if list(tensor.dims) == list(WEIGHT.shape):
                return np.asarray(onnx.numpy_helper.to_array(tensor))
        for node in graph.node:
            for record in node.attribute:
                if record.name == "value" and list(record.t.dims) == list(WEIGHT.shape):
                    return np.asarray(onnx.numpy_helper.to_array(record.t))
            inside += [record.g for record in node.attribute if record.HasField("g")]
    raise AssertionError("the weight is gone")


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(
    ("name", "offset", "place"),
    [
        ("w.bin", 0, {}),
        ("w.bin", 0, {"length": SIZE}),
        ("sub/deeper/w.bin", 0, {}),
        ("weights 50% of ü.bin", 0, {}),
        ("./w.bin", 0, {}),
        ("w.bin", 4096, {"offset": 4096, "length": SIZE}),
        ("w.bin", 12, {"offset": 12, "checksum": "0", "vendor": "a key that nobody knows"}),
    ],
)
def test_good_files_load(
    name: str,
    offset: int,
    place: dict[str, str | int],
    position: Callable[[onnx.TensorProto], onnx.ModelProto],
    folder: Path,
) -> None:
    path = folder / "model" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff" * offset + WEIGHT.tobytes() + b"\xff" * 100)
    read = reader.read(write(folder, position(elsewhere(location=name, **place))))
    npt.assert_array_equal(stored_in(read), WEIGHT)


def test_several_tensors_share_a_file(folder: Path) -> None:
    parts = [WEIGHT, WEIGHT[:, ::-1]]
    (folder / "model" / "w.bin").write_bytes(b"".join(part.tobytes() for part in parts))
    first = elsewhere(location="w.bin", offset=0, length=SIZE)
    second = elsewhere(location="w.bin", offset=SIZE, length=SIZE)
    second.name = "v"
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["t"]),
        helper.make_node("MatMul", ["x", "v"], ["u"]),
        helper.make_node("Add", ["t", "u"], ["y"]),
    ]
    constants = from_model(reader.read(write(folder, model(nodes, [first, second])))).constants
    npt.assert_array_equal(constants["w"], parts[0])
    npt.assert_array_equal(constants["v"], parts[1])


def test_a_place_that_is_given_twice_is_refused(folder: Path) -> None:
    (folder / "model" / "w.bin").write_bytes(WEIGHT.tobytes())
    tensor = elsewhere(location="w.bin")
    tensor.external_data.add(key="location", value="../secret.bin")
    with pytest.raises(ModelError, match="it has two values for 'location'"):
        reader.read(write(folder, as_initializer(tensor)))


def test_data_in_two_places_are_refused(folder: Path) -> None:
    (folder / "model" / "w.bin").write_bytes(WEIGHT.tobytes())
    tensor = elsewhere(location="w.bin")
    tensor.raw_data = WEIGHT.tobytes()
    with pytest.raises(ModelError, match="'w' holds data and says that they are in another file"):
        reader.read(write(folder, as_initializer(tensor)))


@pytest.mark.parametrize("kind", ["values", "indices"])
def test_sparse_tensors_read_no_other_file_either(kind: str, folder: Path) -> None:
    prepare, _ = ATTACKS["parent"]
    tensor = elsewhere(**prepare(folder))
    tensor.dims[:] = [1]
    sparse = onnx.SparseTensorProto(dims=[3, 400])
    sparse.values.CopyFrom(helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]))
    sparse.indices.CopyFrom(helper.make_tensor("p", TensorProto.INT64, [1], [5]))
    if kind == "indices":
        tensor.data_type = TensorProto.INT64
    getattr(sparse, kind).CopyFrom(tensor)
    constant = helper.make_node("Constant", [], ["w"], sparse_value=sparse)
    with pytest.raises(ModelError, match=r"node 'w' \(Constant\) is a sparse tensor"):
        reader.read(write(folder, model([constant, PRODUCT], [])))
