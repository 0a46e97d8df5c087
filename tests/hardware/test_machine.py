"""Machines: presets, overrides, files, and errors that name the key and the remedy."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonpu.errors import MachineError, StorageError
from photonpu.hardware import Machine

MACHINE = Machine.preset("mzi64-eo")


def test_the_presets_that_are_promised_ship() -> None:
    assert set(Machine.presets()) >= {"ideal", "mzi64-eo", "mzi64-thermal", "mzi16-mems", "lt-mzi"}
    assert Machine.presets()[0] == Machine.preset().name == "mzi64-eo"


@pytest.mark.parametrize("name", Machine.presets())
def test_every_number_of_a_preset_has_a_source(name: str) -> None:
    machine = Machine.preset(name)

    assert machine.name == name
    assert set(machine.values()) - set(machine.sources) == {"name", "description"}
    assert all(len(source) > 3 for source in machine.sources.values())


@pytest.mark.parametrize("name", Machine.presets())
def test_a_preset_survives_the_way_through_a_file(name: str, tmp_path: Path) -> None:
    machine = Machine.preset(name)

    machine.save(tmp_path / "copy.toml")
    loaded = Machine.load(tmp_path / "copy.toml")

    assert loaded == machine
    assert loaded.sources == machine.sources


@pytest.mark.parametrize("name", Machine.presets())
def test_a_large_mesh_does_not_swallow_all_light(name: str) -> None:
    mesh = Machine.preset(name).mesh

    assert mesh.ports < 32 or mesh.mzi_loss_db <= 0.3


def test_sizes_of_a_mesh_follow_from_its_ports() -> None:
    mesh = MACHINE.mesh

    assert mesh.mzis == 2016
    assert mesh.depth == 64
    # Two meshes of 2016 interferometers with 2 phases and 64 more each, and 64 attenuators.
    assert mesh.shifters == 8256
    assert MACHINE.override({"mesh.topology": "reck"}).mesh.depth == 125


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("mesh.ports", "32", 32),
        ("mesh.mzi_loss_db", "1e-1", 0.1),
        ("mesh.topology", "reck", "reck"),
        ("mesh.correction", "none", "none"),
        ("optics.laser_power_mw", "100", 100.0),
        ("optics.laser_power_mw", "None", None),
        ("memory.weights_in_dram", "false", False),
        ("cores", "16", 16),
    ],
)
def test_an_override_reads_text_as_the_key_asks(key: str, text: str, value: object) -> None:
    machine = MACHINE.override({key: text})

    assert machine.get(key) == value
    assert machine.sources[key] == "override"


def test_an_override_leaves_the_machine_as_it_was() -> None:
    MACHINE.override({"mesh.ports": 8})

    assert MACHINE.mesh.ports == 64
    assert Machine.preset("mzi64-eo") == MACHINE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mesh.prots": 3}, "mesh.prots: no such key; did you mean 'mesh.ports'?"),
        ({"ports": 3}, "ports: no such key; did you mean 'mesh.ports'?"),
        ({"mehs.ports": 3}, "mehs.ports: no such key; did you mean 'mesh.ports'?"),
        ({"mesh": 3}, "mesh: a section; set its keys, such as 'mesh.ports'"),
        ({"mesh.ports": 1}, "mesh.ports=1: a mesh needs 2 or more"),
        ({"mesh.ports": 1000}, "mesh.ports=1000: a mesh needs 512 or less"),
        ({"mesh.ports": 2.5}, "mesh.ports=2.5: a mesh needs a whole number"),
        ({"mesh.ports": "many"}, "mesh.ports='many': a mesh needs a whole number"),
        ({"mesh.ports": True}, "mesh.ports='true': a mesh needs a whole number"),
        ({"clock_ghz": 0}, "clock_ghz=0: a machine needs more than 0"),
        ({"clock_ghz": float("nan")}, "clock_ghz=nan: a machine needs a finite number"),
        ({"clock_ghz": "inf"}, "clock_ghz='inf': a machine needs a finite number"),
        ({"phase.error_rad": "none"}, "phase.error_rad='none': a phase shifter needs a number"),
        ({"optics.wavelength_nm": 1e6}, "an optical path needs less than 100000"),
        ({"memory.weights_in_dram": 3}, "memory.weights_in_dram=3: a memory needs true or false"),
        ({"name": "x" * 300}, "a machine needs at most 200 characters"),
        ({"description": 3}, "description=3: a machine needs text"),
        ({"mesh.topology": "clement"}, "'diamond' or 'butterfly'; did you mean 'clements'?"),
        (
            {"mesh.topology": "butterfly", "mesh.ports": 12},
            "mesh.topology='butterfly': a mesh needs ports that are a power of 2",
        ),
        (
            {"mesh.mzi_imbalance_db": -0.5},
            "mesh.mzi_imbalance_db=-0.5: an arm would amplify; with mesh.mzi_loss_db=0.2 of both",
        ),
        (
            {"mesh.mzi_imbalance_std_db": 0.1, "mesh.mzi_loss_db": 0.0},
            "mesh.mzi_imbalance_std_db=0.1: an arm would amplify; with mesh.mzi_loss_db=0.0",
        ),
        ({"mesh.region_factor": 0.5}, "mesh.region_factor=0.5: a mesh needs 1 or more"),
        (
            {"environment.since_calibration_s": -1},
            "environment.since_calibration_s=-1: an environment needs 0 or more",
        ),
        (
            {"phase.dac_domain": "voltage", "phase.full_voltage_v": 6.0},
            "phase.full_voltage_v=6.0: a phase shifter needs 6.166 or more, which turns the phase",
        ),
    ],
)
def test_an_error_names_key_value_and_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(MachineError) as caught:
        MACHINE.override(values)

    assert message in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(MachineError) as caught:
        MACHINE.override({"mesh.prots": 3, "mesh.ports": 1, "digital.lanes": 0})

    assert str(caught.value).splitlines() == [
        "machine 'mzi64-eo' has 3 problems:",
        "  mesh.prots: no such key; did you mean 'mesh.ports'?",
        "  mesh.ports=1: a mesh needs 2 or more",
        "  digital.lanes=0: a digital unit needs 1 or more",
    ]


def test_an_unknown_preset_is_named_with_the_nearest() -> None:
    with pytest.raises(MachineError, match="called 'mzi64-oe'; did you mean 'mzi64-eo'"):
        Machine.preset("mzi64-oe")


def test_an_unknown_key_cannot_be_read() -> None:
    with pytest.raises(MachineError, match="mesh.port: no such key; did you mean 'mesh.ports'"):
        MACHINE.get("mesh.port")


def test_machines_are_equal_by_their_values() -> None:
    same = MACHINE.override({"mesh.ports": 64})

    assert same == MACHINE
    assert hash(same) == hash(MACHINE)
    assert same.sources != MACHINE.sources
    assert MACHINE.override({"mesh.ports": 32}) != MACHINE
    assert MACHINE != "mzi64-eo"


def test_machines_can_be_sent_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(MACHINE))

    assert copy == MACHINE
    assert copy.sources == MACHINE.sources


def test_a_machine_is_found_by_itself_by_name_and_by_file(tmp_path: Path) -> None:
    MACHINE.save(tmp_path / "mine.toml")

    assert Machine.of(MACHINE) is MACHINE
    assert Machine.of("lt-mzi") == Machine.preset("lt-mzi")
    assert Machine.of(tmp_path / "mine.toml") == MACHINE
    assert Machine.of(str(tmp_path / "mine.toml")) == MACHINE


def test_a_machine_is_not_saved_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="mine.toml"):
        MACHINE.save(tmp_path / "missing" / "mine.toml")


def test_every_parameter_is_described_with_its_unit() -> None:
    parameters = {parameter.path: parameter for parameter in Machine.fields()}

    assert list(parameters) == list(MACHINE.values())
    assert all(parameter.description for parameter in parameters.values())
    assert parameters["mesh.mzi_loss_db"].unit == "dB"
    assert parameters["memory.sram_mm2_per_mb"].unit == "mm²/MB"
    assert parameters["mesh.ports"].type == "int"
    assert parameters["mesh.topology"].type.startswith("'clements' or 'reck'")
    assert parameters["optics.laser_power_mw"].type == "float or none"
    assert parameters["name"].type == "text"
    assert parameters["mesh.ports"].default == 64


def test_only_shares_and_indices_are_numbers_without_a_unit() -> None:
    without = {
        parameter.path
        for parameter in Machine.fields()
        if parameter.type.startswith("float") and not parameter.unit
    }

    assert without == {
        "mesh.group_index",
        "mesh.region_factor",
        "optics.laser_efficiency",
        "phase.crosstalk",
        "phase.dead_share",
        "detector.gain_error",
        "detector.offset_error",
    }


@given(
    st.text(st.characters(codec="utf-8"), max_size=50),
    st.floats(0, 20),
    st.integers(2, 512),
)
def test_any_machine_survives_the_way_through_toml(text: str, loss_db: float, ports: int) -> None:
    machine = MACHINE.override(
        {"description": text, "mesh.mzi_loss_db": loss_db, "mesh.ports": ports}
    )

    assert Machine.from_toml(machine.to_toml()) == machine
