"""``photonpu simulate``: accuracy on a dataset, outputs for arrays, bounds and pictures."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.testing as npt
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Return inputs of the small network."""
    path = tmp_path / "in.npz"
    image = np.random.default_rng(1).standard_normal((2, 1, 8, 8)).astype(np.float32)
    np.savez(path, image=image)
    return path


def test_the_ideal_machine_computes_the_network(
    photonpu: CommandLine, tiny: Path, samples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.npz"
    told = photonpu.json("simulate", tiny, "--input", samples, "--output", out, "--noise", "ideal")
    image = np.load(samples)["image"]
    mask = np.load(out)["mask"]
    # The kernel is one at its centre, so the network is the logistic function.
    npt.assert_allclose(mask, 1 / (1 + np.exp(-image)), atol=1e-5)
    assert told["mask"]["shape"] == [2, 1, 8, 8]
    assert told["mask"]["max"] == pytest.approx(float(mask.max()))


def test_the_same_seed_and_chip_give_the_same_bits(
    photonpu: CommandLine, tiny: Path, samples: Path, tmp_path: Path
) -> None:
    files = {}
    for name, words in {
        "a": (),
        "b": (),
        "seed": ("--seed", 1),
        "chip": ("--chip", 1),
    }.items():
        path = tmp_path / f"{name}.npz"
        photonpu.json("simulate", tiny, "--input", samples, "-o", path, *words)
        files[name] = np.load(path)["mask"].tobytes()
    assert files["a"] == files["b"]
    assert len(set(files.values())) == 3


def test_noise_can_be_named_source_by_source(
    photonpu: CommandLine, tiny: Path, samples: Path
) -> None:
    result = photonpu("simulate", tiny, "--input", samples, "--noise", "phase,adc")
    assert result.exit_code == 0
    wrong = photonpu("simulate", tiny, "--input", samples, "--noise", "fase")
    assert wrong.exit_code == 1
    assert "did you mean 'phase'?" in wrong.stderr


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ("spliter=2", "no noise source is called 'spliter'; did you mean 'splitter'"),
        ("shot=-1", "noise source 'shot': strength -1.0; give a number from 0 to 1e+06"),
        ("drift=1e30", "noise source 'drift': strength 1e+30; give a number from 0 to 1e+06"),
        ("ambient=nan", "noise source 'ambient': strength nan; give a number from 0 to 1e+06"),
        ("correlated=3", "noise source 'correlated': strength 3; it is on (1) or off (0)"),
    ],
)
def test_wrong_noise_is_told_before_the_model_is_read(
    photonpu: CommandLine, tmp_path: Path, noise: str, message: str
) -> None:
    missing = tmp_path / "missing.onnx"

    result = photonpu("simulate", missing, "--data", "shipped", "--noise", noise)

    assert result.exit_code == 1
    assert message in result.stderr


def test_noise_can_be_given_strengths(photonpu: CommandLine, tiny: Path, samples: Path) -> None:
    twice, wrong, neither = (
        photonpu("simulate", tiny, "--input", samples, "--noise", noise)
        for noise in ("phase=2,adc", "phase=much", "adc=2")
    )

    assert twice.exit_code == 0
    assert "--noise phase=much: write NAME or NAME=STRENGTH, as in shot=2" in wrong.stderr
    assert "noise source 'adc': strength 2; it is on (1) or off (0)" in neither.stderr


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("image", np.zeros((1, 1, 9, 8), np.float32), "shape (1, 1, 9, 8)"),
        ("image", np.zeros((1, 1, 8, 8)), "float32 is needed"),
        ("image", np.full((1, 1, 8, 8), np.nan, np.float32), "holds NaN or infinity"),
        ("picture", np.zeros((1, 1, 8, 8), np.float32), "no input is called 'picture'"),
    ],
)
def test_an_array_that_does_not_fit_is_named(
    photonpu: CommandLine,
    tiny: Path,
    tmp_path: Path,
    name: str,
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    message: str,
) -> None:
    samples = tmp_path / "in.npz"
    np.savez(samples, **{name: array})  # type: ignore[arg-type]
    out = tmp_path / "out.npz"
    result = photonpu("simulate", tiny, "--input", samples, "--output", out)
    assert result.exit_code == 1
    assert message in result.stderr.splitlines()[-1]
    assert not out.exists()


def test_a_full_disk_leaves_the_old_outputs(
    photonpu: CommandLine,
    tiny: Path,
    samples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out.npz"
    out.write_text("old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    result = photonpu("simulate", tiny, "--input", samples, "--output", out)
    assert result.exit_code == 1
    assert f"error: cannot write '{out}': No space left on device" in result.stderr
    assert out.read_text() == "old"


def test_a_dataset_is_scored_in_every_mode(
    photonpu: CommandLine, tiny: Path, squares: Path
) -> None:
    found = photonpu.json("simulate", tiny, "--data", squares, "--chips", 2, "--metrics", "dice")
    assert set(found["scores"]) == {"float", "ideal", "noisy", "threshold"}
    # Bright squares on dark ground, far from the threshold of the logistic function.
    assert found["scores"]["float"]["dice"]["mean"] == 1.0
    assert found["scores"]["ideal"]["dice"]["mean"] == 1.0
    assert len(found["scores"]["noisy"]["dice"]["runs"]) == 2


def test_results_are_on_stdout_and_the_rest_on_stderr(
    photonpu: CommandLine, tiny: Path, squares: Path
) -> None:
    result = photonpu("simulate", tiny, "--data", squares, "--chips", 1)
    assert result.stdout.split("\n")[0].split() == ["dice", "iou", "hd95", "(mm)", "chips"]
    assert "calibrated on 4 images of the dataset, not on masks" in result.stderr
    quiet = photonpu("simulate", tiny, "--data", squares, "--chips", 1, "--quiet")
    assert quiet.stdout == result.stdout
    assert quiet.stderr == ""


def test_a_program_is_simulated_without_its_model(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.ppu"
    photonpu.json("compile", tiny, "-o", out)
    tiny_moved = tiny.rename(tmp_path / "moved.onnx")
    alone = photonpu.json("simulate", out, "--data", squares, "--chips", 1)
    assert "float" not in alone["scores"]
    beside = photonpu.json(
        "simulate", out, "--data", squares, "--chips", 1, "--reference", tiny_moved
    )
    assert beside["scores"]["float"]["dice"]["mean"] == 1.0


def test_pictures_show_image_truth_and_masks(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "pictures"
    photonpu.json("simulate", tiny, "--data", squares, "--chips", 1, "--pictures", folder)
    with Image.open(folder / "masks.png") as picture:
        # Four tiles of 256 pixels side by side, one row for each of the four cases.
        assert picture.width > 4 * 256
        assert picture.height > 4 * 256


def test_a_folder_for_pictures_that_cannot_be_made_is_refused_before_anything_runs(
    photonpu: CommandLine, tiny: Path, squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import photonpu.models.evaluation as evaluation

    def run(*arguments: object, **options: object) -> None:
        raise AssertionError("it ran all the same")

    monkeypatch.setattr(evaluation, "evaluate", run)
    where = squares.parent / "file"
    where.write_text("here")

    result = photonpu("simulate", tiny, "--data", squares, "--pictures", where)

    assert result.exit_code == 1
    assert f"cannot make folder '{where}'" in result.stderr


def test_pictures_in_a_place_that_is_a_file_say_so(
    photonpu: CommandLine, tiny: Path, squares: Path
) -> None:
    result = photonpu(
        "simulate", tiny, "--data", squares, "--chips", 1, "--pictures", squares / "here"
    )
    assert result.exit_code == 1
    assert f"error: cannot make folder '{squares / 'here'}'" in result.stderr


def test_a_dice_below_the_bound_has_its_own_exit_code(
    photonpu: CommandLine, tiny: Path, squares: Path
) -> None:
    words = ("simulate", tiny, "--data", squares, "--chips", 1, "--noise", "ideal")
    assert photonpu(*words, "--min-dice", "0.99").exit_code == 0
    missed = photonpu(*words, "--min-dice", "1.01")
    assert missed.exit_code == 4
    assert missed.stderr.endswith("bound missed: mean Dice 1.000 is below 1.01\n")


def test_a_trace_tells_of_each_layer(photonpu: CommandLine, tiny: Path, samples: Path) -> None:
    told = photonpu.json("simulate", tiny, "--input", samples, "--trace")
    (layer,) = told["layers"]
    assert 0 < layer["error"] < 1
    shown = photonpu("simulate", tiny, "--input", samples, "--trace")
    assert "ADC range used" in shown.stdout


def test_a_trace_can_be_drawn(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    words = "simulate", tiny, "--data", squares, "--pictures", tmp_path / "new" / "folder"

    photonpu.json(*words, "--trace")
    refused = photonpu(*words, "--attribute")

    with Image.open(tmp_path / "new" / "folder" / "layers.png") as picture:
        assert picture.width > 800
    assert refused.exit_code == 2
    assert "draws no attribution" in " ".join(refused.stderr.split())


def test_an_attribution_tells_of_each_source(
    photonpu: CommandLine, tiny: Path, samples: Path
) -> None:
    words = ("simulate", tiny, "--input", samples, "--noise", "adc,phase", "--attribute")
    told = photonpu.json(*words)
    assert sorted(told["sources"]) == ["adc", "phase"]
    assert set(told["layers"][0]["alone"]) == {"adc", "phase"}
    both = photonpu(*words, "--trace")
    assert both.exit_code == 2
    assert "give one of the two" in both.stderr


def test_a_ceiling_of_memory_changes_no_bit(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    image = np.random.default_rng(1).standard_normal((2000, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "in.npz", image=image)
    words = "simulate", tiny, "--input", tmp_path / "in.npz", "-o", tmp_path / "out.npz"

    found = []
    for memory in ((), ("--memory", 8)):
        photonpu.json(*words, *memory)
        found.append(np.load(tmp_path / "out.npz")["mask"].tobytes())

    assert found[0] == found[1]


def test_a_ceiling_that_nothing_fits_below_is_named_before_anything_runs(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", image=np.zeros((20_000, 1, 8, 8), np.float32))

    many = photonpu("simulate", tiny, "--input", tmp_path / "in.npz", "--memory", 8)
    wide = photonpu("simulate", tiny, "--data", squares, "--set", "mesh.ports=256", "--memory", 1)
    none = photonpu("simulate", tiny, "--data", squares, "--memory", 0)

    assert many.exit_code == 1
    assert "memory_limit_mb=8: 20000 samples of this program need" in many.stderr
    assert wide.exit_code == 1
    assert "memory_limit_mb=1: one sample of this program need" in wide.stderr
    assert none.exit_code == 2
    assert "--memory" in none.stderr


def test_scores_do_not_depend_on_the_ceiling_of_memory(
    photonpu: CommandLine, tiny: Path, squares: Path
) -> None:
    words = "simulate", tiny, "--data", squares, "--chips", 2, "--quiet"

    assert photonpu.json(*words) == photonpu.json(*words, "--memory", 2)


def test_ranges_can_be_set_by_another_rule(
    photonpu: CommandLine, tiny: Path, samples: Path, tmp_path: Path
) -> None:
    rule = "--calibration-method", "percentile:75", "--calibration-per", "row"
    words = "simulate", tiny, "--input", samples, "--calibration", samples, "--noise", "quantised"

    plain, other = photonpu.json(*words), photonpu.json(*words, *rule)

    # The network is the logistic function: a quarter of the inputs are clipped, the largest too.
    assert other["mask"]["max"] < plain["mask"]["max"]
    program = tmp_path / "p.ppu"
    told = photonpu.json("compile", tiny, "--calibration", samples, "-o", program, *rule)
    assert "converter ranges were set by percentile:75 per row" in told["notes"]
    refused = photonpu("simulate", program, "--input", samples, *rule)
    assert refused.exit_code == 1
    assert "was compiled already: --calibration-method and --calibration-per are" in refused.stderr
    wrong = photonpu("compile", tiny, "-o", program, "--calibration-method", "percentil:99")
    assert wrong.exit_code == 1
    assert "no such method; did you mean 'percentile'?" in wrong.stderr
