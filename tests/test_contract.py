"""The public names, what an import may load, and the links at the root."""

from __future__ import annotations

import ast
import importlib
import inspect
import pydoc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import photonpu

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "photonpu"
MODULES = sorted(PACKAGE.rglob("*.py"))
PUBLIC = [
    "Chip",
    "Machine",
    "PhotonicMatrix",
    "PhotonpuError",
    "Program",
    "Session",
    "calibrate_on_chip",
    "compile",
    "estimate",
    "evaluate",
    "load_dataset",
    "sweep",
]
HEAVY = [
    "PIL",
    "nibabel",
    "numba",
    "onnx",
    "onnxruntime",
    "pandas",
    "plotly",
    "pytest",
    "scipy",
    "torch",
]


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def public_members(value: object) -> Iterator[tuple[str, object]]:
    """Yield a public function, or a public class and the methods it adds, with their names."""
    name = getattr(value, "__qualname__", "")
    yield name, value
    if inspect.isclass(value):
        for key, member in vars(value).items():
            if not key.startswith(("_", "model_")) and (
                inspect.isfunction(member) or isinstance(member, classmethod | property)
            ):
                yield f"{name}.{key}", member


def test_the_public_names_are_these() -> None:
    assert sorted(photonpu.__all__) == PUBLIC


def test_dir_lists_the_public_names_and_the_version() -> None:
    assert sorted(dir(photonpu)) == sorted([*PUBLIC, "__version__"])


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_loads_on_first_use(name: str) -> None:
    assert callable(getattr(photonpu, name))


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'photonpu' has no attribute 'complie'"):
        _ = photonpu.complie


def test_a_public_function_stays_itself_when_its_package_was_imported_first() -> None:
    code = (
        "import photonpu.sweep, photonpu.compiler, photonpu.models.evaluation, photonpu\n"
        "print(all(callable(getattr(photonpu, name)) for name in photonpu.__all__))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "True"


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_is_documented(name: str) -> None:
    for member_name, member in public_members(getattr(photonpu, name)):
        assert pydoc.getdoc(member), f"{member_name} has no docstring"


@pytest.mark.parametrize("name", [name for name in PUBLIC if name[0].islower()])
def test_a_public_function_documents_each_of_its_parameters(name: str) -> None:
    function = getattr(photonpu, name)
    text = inspect.getdoc(function) or ""
    assert "Parameters\n----------" in text
    assert "Returns\n-------" in text
    documented = {
        word.strip(" *")
        for line in text.splitlines()
        if not line.startswith(" ")
        for word in line.split(":")[0].split(",")
    }
    assert set(inspect.signature(function).parameters) <= documented


def test_importing_photonpu_loads_nothing_heavy() -> None:
    assert not loaded_by("import photonpu") & set(HEAVY)


def test_the_command_line_s_help_loads_nothing_heavy() -> None:
    assert not loaded_by("import photonpu.cli") & set(HEAVY)


def test_a_machine_loads_nothing_heavy() -> None:
    heavy = loaded_by("import photonpu; photonpu.Machine.preset('mzi64-eo')") & set(HEAVY)
    assert not heavy


def test_telemetry_is_off_before_onnxruntime_can_load() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert "ORT_DISABLE_TELEMETRY" in ast.dump(tree)
    code = (
        "import os; os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "import photonpu; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "1"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


@pytest.mark.parametrize("name", ["compiler", "models", "simulator"])
def test_the_links_at_the_root_point_into_the_package(name: str) -> None:
    link = ROOT / name
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == PACKAGE / name


def test_every_folder_of_modules_is_a_package() -> None:
    assert {path.parent for path in MODULES} == {
        path.parent for path in PACKAGE.rglob("__init__.py")
    }


def test_every_name_a_package_exports_exists() -> None:
    packages = {path.parent for path in PACKAGE.rglob("__init__.py")} - {PACKAGE}
    for package in sorted(packages):
        module = importlib.import_module(".".join(package.relative_to(ROOT).parts))
        missing = [name for name in getattr(module, "__all__", []) if not hasattr(module, name)]
        assert not missing, f"{module.__name__} exports {missing} and does not have them"
