# SPDX-License-Identifier: EUPL-1.2
"""`./belfry bench`: the list of measurements, what reaches one that is run, and that nothing else knows of them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from typer.testing import CliRunner

from services.cli import app, checking, edges
from services.embedded import EmbeddedError
from tests.support.source import PRODUCT, sources


class Became(Exception):
    """What this process would have become."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)


@pytest.fixture
def becoming(monkeypatch: pytest.MonkeyPatch) -> None:
    def become(*command: str) -> NoReturn:
        raise Became(command)

    monkeypatch.setattr(edges, "become", become)


def run(*arguments: str) -> object:
    """What `./belfry` does with these arguments: its exception, or what it wrote."""
    result = CliRunner().invoke(app, arguments)
    return result.exception if result.exception is not None else result.stdout


def test_the_list_names_what_can_be_run_and_not_what_it_is_made_of() -> None:
    names = str(run("bench")).split()
    assert {"claims", "dataset", "ingest"} <= set(names)
    assert not {"engines", "filling", "plans", "report"} & set(names)


@pytest.mark.usefixtures("becoming")
def test_a_measurement_gets_its_options_and_a_folder_that_means_the_same_in_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    became = run("bench", "claims", "--keep", "data", "--rounds", "3", "-h")
    assert isinstance(became, Became)
    kept = str(tmp_path / "data")
    assert became.command == [sys.executable, "-m", "bench.claims", "--keep", kept, "--rounds", "3", "-h"]


@pytest.mark.usefixtures("becoming")
@pytest.mark.parametrize("name", ["engines", "no_such", "../bench/claims"])
def test_what_is_no_measurement_is_refused_with_the_list(name: str) -> None:
    refused = run("bench", name)
    assert isinstance(refused, EmbeddedError)
    assert "claims" in str(refused)


def test_a_folder_without_measurements_has_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text('"""A part."""\n')
    assert checking.measurements(tmp_path) == []
    assert isinstance(app, typer.Typer)


def test_nothing_imports_a_measurement_but_another_one() -> None:
    wrong = [source.name for source in sources(*PRODUCT, "alembic", "tests") if source.imports_any("bench")]
    assert wrong == []
