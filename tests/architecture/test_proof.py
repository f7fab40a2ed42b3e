# SPDX-License-Identifier: EUPL-1.2
"""The page of proofs names nothing that does not exist."""

import re

from tests.support.source import ROOT, Source

PROOF = ROOT / "docs" / "proof.md"
NAMED = re.compile(r"\b(tests/[\w/.]+?)(?:::(\w+))?(?=[ `])")


def test_every_test_that_the_page_of_proofs_names_exists() -> None:
    named = NAMED.findall(PROOF.read_text())
    assert len(named) > 50
    missing: list[str] = []
    for path, function in named:
        place = ROOT / path
        if not place.exists() or (place.is_dir() and not any(place.rglob("test_*.py"))):
            missing.append(path)
        elif function and function not in {each.name for each in Source(place, path).functions()}:
            missing.append(f"{path}::{function}")
    assert missing == []


def test_every_promise_has_a_command() -> None:
    rows = [line.split(" | ") for line in PROOF.read_text().splitlines() if line.startswith("| ")]
    for cells in rows[1:]:
        assert len(cells) >= 2, cells
        assert cells[1].startswith(("`", "Command")), cells
