"""What is installed is what was written: the wheel has everything that the program reads."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel that is built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_file_of_the_packages(packed: set[str]) -> None:
    files = [path for package in ("bot", "storage") for path in (PROJECT / package).rglob("*") if path.is_file()]
    written = {path.relative_to(PROJECT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert {name for name in written if name.startswith("bot/sandbox/web/")} >= {
        "bot/sandbox/web/index.html",
        "bot/sandbox/web/icon.svg",
        "bot/sandbox/web/js/main.js",
        "bot/sandbox/web/css/base.css",
        "bot/sandbox/web/fonts/inter-latin.woff2",
    }
    assert written - packed == set()


def test_the_wheel_has_the_manifest_that_the_sandbox_reads(packed: set[str]) -> None:
    assert "bot/manifest.yml" in packed


def test_the_wheel_has_no_tests_and_no_state(packed: set[str]) -> None:
    assert {name.partition("/")[0] for name in packed if ".dist-info" not in name} == {"bot", "storage"}
