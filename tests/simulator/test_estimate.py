"""The estimate of a whole program: sums, shares, texts and bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from photonpu.errors import InputError, ProgramError
from photonpu.hardware import Machine
from photonpu.program import HostOperator
from photonpu.simulator.estimate import Estimate, estimate
from tests.simulator.handmade import Product, program

MACHINE = Machine.preset("mzi64-thermal").override({"mesh.ports": 8, "cores": 2})
RELU = HostOperator("act", "Relu", operations=1000, elements_in=1000, elements_out=1000)
PROGRAM = program(
    [Product("first", 20, 30, 100, bias=True), Product("second", 5, 20, 100)],
    MACHINE,
    [RELU],
    phase=1.0,
)


def found() -> Estimate:
    return estimate(PROGRAM)


def test_totals_are_the_sums_of_layers_and_of_components() -> None:
    result = found()

    assert result.latency_s == pytest.approx(sum(layer.latency_s for layer in result.layers))
    assert result.energy_j == pytest.approx(sum(layer.energy_j for layer in result.layers))
    assert result.latency_s == pytest.approx(sum(result.latency.values()))
    assert result.energy_j == pytest.approx(sum(result.components.values()))
    assert result.area_mm2 == pytest.approx(sum(result.area.values()))
    assert result.power_w == pytest.approx(result.energy_j / result.latency_s)


def test_every_layer_and_every_digital_operator_has_a_row() -> None:
    assert [(layer.name, layer.op) for layer in found().layers] == [
        ("first", "Gemm"),
        ("second", "Gemm"),
        ("act", "Relu"),
        ("inputs and outputs", "Transfer"),
    ]


def test_every_component_of_a_thermal_machine_costs_something() -> None:
    assert all(value > 0 for value in found().components.values())
    assert set(found().components) == {
        "laser", "modulators", "dac", "adc", "tia", "holding", "programming", "sram", "dram",
        "digital",
    }  # fmt: skip


def test_shares_add_up_to_one() -> None:
    result = found()

    for quantity in (
        result.latency_by_component,
        result.energy_by_component,
        result.area_by_component,
    ):
        assert sum(quantity.shares().values()) == pytest.approx(1.0)


def test_utilisation_is_the_share_that_is_no_padding() -> None:
    first, second, *_ = found().layers

    # 20 x 30 on tiles of 8: 3 x 4 of 64, all turns full; 5 x 20: 3 tiles, on 2 cores 150 cycles.
    assert first.utilisation == pytest.approx(600 / (12 * 64))
    assert second.utilisation == pytest.approx(100 / (3 * 64))


def test_a_digital_operator_shows_its_operations_and_what_it_moves() -> None:
    (relu,) = (layer for layer in found().layers if layer.op == "Relu")
    (operator,) = (o for step in PROGRAM.host_steps for o in step.operators)

    assert relu.operations == operator.operations > 0
    elements = operator.elements_in + operator.elements_out
    assert relu.sram_bytes == elements * MACHINE.memory.word_bits / 8
    assert relu.to_dict()["operations"] == operator.operations
    assert relu.cycles == 0
    (header,) = (line for line in found().table().splitlines() if line.startswith("layer"))
    assert header.split()[5:7] == ["operations", "moved"]


def test_a_batch_costs_less_than_its_samples_alone() -> None:
    assert estimate(PROGRAM, batch=8).latency_s < 8 * found().latency_s
    assert estimate(PROGRAM, batch=8).energy_j < 8 * found().energy_j
    assert estimate(PROGRAM, batch=8).macs == 8 * found().macs


def test_another_machine_of_the_same_size_can_take_its_place() -> None:
    other = MACHINE.override({"phase.pi_power_mw": 0.0, "phase.settling_time_us": 1.0})

    result = estimate(PROGRAM, machine=other)

    assert result.components["holding"] == 0.0
    assert result.latency["programming"] == pytest.approx(found().latency["programming"] / 10)


def test_a_machine_of_another_size_is_refused() -> None:
    with pytest.raises(ProgramError, match="compile it for this machine"):
        estimate(PROGRAM, machine=MACHINE.override({"mesh.ports": 16}))


@pytest.mark.parametrize("batch", [0, -1, 1.5])
def test_a_batch_is_a_whole_number_from_one(batch: int) -> None:
    with pytest.raises(InputError, match=f"batch={batch}: a whole number from 1 is needed"):
        estimate(PROGRAM, batch=batch)


def test_a_program_without_steps_costs_only_its_transfer() -> None:
    result = estimate(program([], MACHINE))

    assert [layer.op for layer in result.layers] == ["Transfer"]
    assert result.energy_j == result.components["sram"] + result.components["dram"]


def test_the_dictionary_is_ready_for_json() -> None:
    result = found()

    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))

    assert read["latency_s"] == result.latency_s
    assert read["energy"]["parts"]["laser_j"] == result.components["laser"]
    assert math.fsum(read["energy"]["shares"].values()) == pytest.approx(1.0)
    assert read["layers"][0]["compute_s"] == result.layers[0].latency.compute_s


def test_the_data_frame_has_a_row_for_each_layer() -> None:
    frame = found().to_dataframe()

    assert list(frame["name"]) == ["first", "second", "act", "inputs and outputs"]
    assert frame["energy_j"].sum() == pytest.approx(found().energy_j)
    assert {"compute_s", "holding_j", "tiles", "macs"} <= set(frame.columns)


def test_the_table_names_totals_components_and_layers() -> None:
    text = found().table()

    assert text.startswith("handmade on mzi64-thermal, 1 sample: ")
    assert "of laser light a core" in text
    for word in ("holding", "programming", "second", "inputs and outputs", "Relu", "mm²", "%"):
        assert word in text


def test_a_programs_name_cannot_command_the_terminal() -> None:
    shady = replace(PROGRAM, name="a\x1b[2Jb")

    assert "\x1b" not in estimate(shady).table()
