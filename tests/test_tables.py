"""Text for people: columns line up, magnitudes get their prefix, control characters do not pass."""

import pytest

from photonpu.tables import engineering, text_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2e-3, "1.20 ms"),
        (12.34, "12.3 s"),
        (123.4, "123 s"),
        (999.4, "999 s"),
        (999.6, "1.00 ks"),
        (999.96e-6, "1.00 ms"),
        (-4.5e-9, "-4.50 ns"),
        (5e-21, "0.00500 as"),
        (2e19, "20000 Ps"),
        (0.0, "0 s"),
        (float("inf"), "inf s"),
    ],
)
def test_a_quantity_shows_three_digits_and_its_prefix(value: float, text: str) -> None:
    assert engineering(value, "s") == text


def test_a_quantity_without_a_unit_has_no_space_at_its_end() -> None:
    assert engineering(12.0) == "12.0"
    assert engineering(0.0) == "0"


def test_columns_line_up_left_for_names_and_right_for_numbers() -> None:
    text = text_table(["layer", "n"], [["a", 1], ["longer", 1000]])
    assert text.split("\n") == [
        "layer      n",
        "------  ----",
        "a          1",
        "longer  1000",
    ]


def test_the_alignment_can_be_chosen() -> None:
    assert text_table(["a", "bb"], [["xyz", "q"]], "rl").split("\n")[2] == "xyz  q"


def test_a_table_without_rows_is_its_header() -> None:
    assert text_table(["a", "b"], []) == "a  b\n-  -"


def test_control_characters_of_a_name_are_shown_escaped() -> None:
    assert "\\x1b[2J" in text_table(["name"], [["\x1b[2Jgone"]])


@pytest.mark.parametrize(("row", "align"), [(["a"], "lr"), (["a", "b"], "l")])
def test_a_row_of_another_length_is_refused(row: list[str], align: str) -> None:
    with pytest.raises(ValueError, match="a row of 1 columns in a table of 2"):
        text_table(["x", "y"], [row], align)
