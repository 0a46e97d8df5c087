"""Bad input: one line on stderr that names the thing and the remedy, and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.cli.conftest import network

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


def test_a_missing_model_says_where_models_are_listed(photonpu: CommandLine) -> None:
    result = photonpu("estimate", "missing.onnx")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: 'missing.onnx': no such file, and no model is called so; "
        "`photonpu models` lists those that come with photonpu\n"
    )


def test_a_mistyped_model_of_the_zoo_names_the_nearest(photonpu: CommandLine) -> None:
    result = photonpu("estimate", "tumor-unet")
    assert result.exit_code == 1
    assert "did you mean 'tumour-unet'?" in result.stderr


def test_a_missing_program_says_how_one_is_made(photonpu: CommandLine) -> None:
    result = photonpu("estimate", "missing.ppu")
    assert result.exit_code == 1
    assert result.stderr == ("error: 'missing.ppu': no such file; `photonpu compile` makes one\n")


def test_a_text_file_named_onnx_is_no_model(photonpu: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("these are not weights\n" * 20)
    result = photonpu("estimate", path)
    assert result.exit_code == 1
    assert f"error: '{path}' is not an ONNX model" in result.stderr


def test_a_text_file_named_ppu_is_no_program(photonpu: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "notes.ppu"
    path.write_text("these are not phases\n" * 20)
    result = photonpu("estimate", path)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert str(path) in result.stderr


def test_a_mistyped_preset_names_the_nearest(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("estimate", tiny, "--machine", "mzi64-oe")
    assert result.exit_code == 1
    assert "did you mean 'mzi64-eo'?" in result.stderr


def test_a_mistyped_key_names_the_nearest(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("estimate", tiny, "--set", "mesh.prots=32")
    assert result.exit_code == 1
    assert "did you mean 'mesh.ports'?" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "mesh.ports"], "--set mesh.ports: write --set KEY=VALUE"),
        (["--set", "cores=1", "--set", "cores=2"], "--set cores: given twice"),
        (["--shape", "image=1x?"], "--shape image=1x?: write whole numbers, as in 1x1x128x128"),
        (["--shape", "1x1x8x8"], "--shape 1x1x8x8: write --shape NAME=1x1x128x128"),
        (
            ["--shape", "image=1x" + 5000 * "9"],
            f"--shape image=1x{5000 * '9'}: write whole numbers, as in 1x1x128x128",
        ),
        (["--calibration", "no.npz"], "'no.npz': no such file"),
    ],
)
def test_a_malformed_option_says_how_it_is_written(
    photonpu: CommandLine, tiny: Path, words: list[str], message: str
) -> None:
    result = photonpu("estimate", tiny, *words)
    assert result.exit_code == 1
    assert result.stderr == f"error: {message}\n"


def test_nan_in_weights_names_the_tensor(photonpu: CommandLine, nan_network: Path) -> None:
    result = photonpu("estimate", nan_network)
    assert result.exit_code == 1
    assert "kernel" in result.stderr
    assert "NaN" in result.stderr


def test_an_operator_that_nobody_knows_has_its_own_exit_code(
    photonpu: CommandLine, strange_network: Path
) -> None:
    result = photonpu("estimate", strange_network)
    assert result.exit_code == 3
    assert result.stderr.startswith("error: node 'last' (org.example.Entangle)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no arrays", "is no .npz file of numbers; write it with np.savez\n"),
        (b"", "is no .npz file of numbers"),
        (None, "holds one array without a name; save it with np.savez"),
    ],
)
def test_input_that_is_no_npz_says_what_is_needed(
    photonpu: CommandLine, tiny: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "input.npz"
    if content is None:
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes(content)
    result = photonpu("simulate", tiny, "--input", path)
    assert result.exit_code == 1
    assert f"error: '{path}' {message}" in result.stderr


def test_pickled_input_is_refused(photonpu: CommandLine, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "input.npz"
    np.savez(path, image=np.array([{}], dtype=object))
    result = photonpu("simulate", tiny, "--input", path)
    assert result.exit_code == 1
    assert "is no .npz file of numbers" in result.stderr


def test_a_missing_dataset_names_the_shipped_one(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("simulate", tiny, "--data", "missing.npz")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: 'missing.npz': no such file or folder; --data shipped uses the shipped set\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give one of the two"),
        (["--data", "shipped", "--input", "x.npz"], "give one of the two"),
        (["--data", "shipped", "--metrics", "iou", "--min-dice", "0.5"], "needs 'dice'"),
        (["--data", "shipped", "--chips", "0"], "--chips"),
        (["--data", "shipped", "--until-ci", "0"], "give half the width of an interval"),
        (["--data", "shipped", "--until-ci", "nan"], "give half the width of an interval"),
        (["--data", "shipped", "--sampling", "quick"], "there are exact, fast, merged"),
        (["--data", "shipped", "--threshold", "inf"], "give a number"),
    ],
)
def test_wrong_usage_has_its_own_exit_code(
    photonpu: CommandLine, tiny: Path, words: list[str], message: str
) -> None:
    result = photonpu("simulate", tiny, *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_wrong_options_are_told_before_the_model_is_read(photonpu: CommandLine) -> None:
    for words, code, message in (
        (["--until-ci", "0"], 2, "give half the width of an interval"),
        (["--metrics", "dise"], 1, "'dise'; did you mean 'dice'"),
    ):
        result = photonpu("simulate", "missing.onnx", "--data", "shipped", *words)
        assert result.exit_code == code
        assert message in result.stderr


@pytest.mark.parametrize("option", ["--shape", "--calibration"])
def test_what_a_program_has_fixed_cannot_be_given_again(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path, option: str
) -> None:
    out = tmp_path / "tiny.ppu"
    photonpu.json("compile", tiny, "-o", out)
    value = "image=1x1x8x8" if option == "--shape" else squares
    result = photonpu("estimate", out, option, value)
    assert result.exit_code == 1
    assert "was compiled already: --calibration and --shape are for models" in result.stderr


def test_a_name_can_do_nothing_to_the_terminal(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("estimate", tiny, "--set", "mesh.\x1b[2J=1")
    assert result.exit_code == 1
    assert "mesh.\\x1b[2J" in result.stderr
    assert "\x1b" not in result.stderr


#: Clears a terminal, renames its window, begins a command in one byte, turns the direction round.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\r\n"


def test_no_text_of_a_model_reaches_the_terminal_as_it_is(
    photonpu: CommandLine, tmp_path: Path
) -> None:
    model = network()
    for message in (model.graph, *model.graph.node):
        message.name = f"{EVIL}{message.name}"
    model.doc_string = model.producer_name = model.graph.node[0].doc_string = EVIL
    model.metadata_props.add(key=EVIL, value=EVIL)
    for node in model.graph.node:
        node.input[0] = "image" if node.input[0] == "image" else f"{EVIL}sum"
        node.output[0] = "mask" if node.output[0] == "mask" else f"{EVIL}sum"
    path = tmp_path / "evil.onnx"
    path.write_bytes(model.SerializeToString())
    out = tmp_path / "evil.ppu"
    lines: list[list[object]] = [
        ["check", path],
        ["check", path, "--json"],
        ["check", path, "--only", EVIL],
        ["compile", path, "--stop-after", "read"],
        ["compile", path, "--stop-after", "program"],
        ["compile", path, "--stop-after", "read", "--json"],
        ["compile", path, "-o", out, "--annotate", tmp_path / "costs.onnx"],
        ["estimate", out],
        ["estimate", out, "--json"],
    ]
    for words in lines:
        result = photonpu(*words, *(["--trust"] if words[0] != "estimate" else []))
        shown = (result.stdout + result.stderr).replace("\n", "")
        assert shown.isprintable(), words
        assert "owned" in shown or words[1] == out, words
