"""The store keeps every committed point, and says what is wrong with a file that is none."""

import math
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from photonpu.errors import StorageError, SweepError
from photonpu.sweep.store import SCHEMA_VERSION, Store
from photonpu.sweep.study import NAN, Interval, Outcome

OUTCOME = Outcome({"dice": Interval(0.8, 0.7, 0.9)}, 1e-3, 2e-3, 2.0, 55.5, 12)


def test_what_was_put_comes_back_after_the_file_was_closed(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.put("a", {"chips": 3}, OUTCOME, 1.5)
    with Store(tmp_path / "s.sqlite") as store:
        assert store.get("a") == OUTCOME
        assert store.get("b") is None
        assert len(store) == 1


def test_an_undefined_number_stays_undefined() -> None:
    with Store(None) as store:
        found = Outcome({"hd95": Interval(NAN, NAN, NAN)}, error="no light")
        store.put("a", {}, found, 0.0)
        back = store.get("a")
    assert back is not None
    assert back.error == "no light"
    assert math.isnan(back.latency_s)
    assert math.isnan(back.metrics["hd95"].low)


def test_a_point_put_twice_is_one_point() -> None:
    with Store(None) as store:
        store.put("a", {}, Outcome(tiles=1), 0.0)
        store.put("a", {}, Outcome(tiles=2), 0.0)
        assert len(store) == 1
        back = store.get("a")
    assert back is not None
    assert back.tiles == 2


def test_what_was_put_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    script = (
        "import sys, os, signal\n"
        "from photonpu.sweep import Store, Outcome\n"
        "store = Store(sys.argv[1])\n"
        "for k in range(10): store.put(str(k), {}, Outcome(tiles=k), 0.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Store(path) as store:
        assert len(store) == 10


def test_two_stores_may_share_a_file(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as one, Store(tmp_path / "s.sqlite") as two:
        one.put("a", {}, Outcome(tiles=1), 0.0)
        two.put("b", {}, Outcome(tiles=2), 0.0)
        assert len(one) == len(two) == 2


def test_a_store_of_another_schema_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    Store(path).__exit__(None, None, None)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(SweepError, match=r"has schema version 2 and this photonpu reads version 1"):
        Store(path)


def test_a_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SweepError, match="is a database of another application; choose another"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_text("dice,latency\n" * 200)
    with pytest.raises(SweepError, match="is no store of a sweep, or is damaged"):
        Store(path)
    assert path.read_text().startswith("dice")


@pytest.mark.parametrize("text", ["not json", "{}", "[1]", '{"metrics": {"dice": 1}, "error": ""}'])
def test_a_damaged_point_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.put("a", {}, OUTCOME, 0.0)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE points SET outcome = ?", (text,))
    connection.close()
    with Store(path) as store, pytest.raises(SweepError, match="is damaged \\(point a does not"):
        store.get("a")


def test_a_folder_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write '.*missing.*choose a folder that exists"):
        Store(tmp_path / "missing" / "s.sqlite")


def test_a_full_disk_says_so_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.put("a", {}, OUTCOME, 0.0)
        # SQLite's own limit on pages fails with SQLITE_FULL, as a full disk does.
        store.connection.execute("PRAGMA max_page_count = 3")
        with pytest.raises(StorageError, match="cannot write '.*full; free space"):
            store.put("b", {"long": "x" * 100_000}, OUTCOME, 0.0)
    with Store(path) as store:
        assert store.get("a") == OUTCOME
        assert store.get("b") is None
