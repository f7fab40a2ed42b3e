# SPDX-License-Identifier: EUPL-1.2
"""What claimers were told, kept outside of the system under test."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """What the claimers were told, and what they did before; written outside the system under test."""

    granted: dict[tuple[int, int], int] = field(default_factory=dict)
    double: list[tuple[int, int]] = field(default_factory=list)
    highest: Counter[int] = field(default_factory=Counter)
    expired: set[tuple[int, int]] = field(default_factory=set)
    released: set[tuple[int, int]] = field(default_factory=set)
    stale_accepted: int = 0
    stale_refused: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    def grant(self, question: int, fence: int, who: int) -> None:
        if self.granted.setdefault((question, fence), who) != who:
            self.double.append((question, fence))
        self.highest[question] = max(self.highest[question], fence)
