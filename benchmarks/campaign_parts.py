"""What a part of the campaign found: counts of outcomes, and those that are not as promised."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

UNCLEAR = "unclear"


@dataclass
class Part:
    """
    The outcomes of one part.

    Args:
        name (`str`): What was tried.
        outcomes (`Counter`): How often each outcome was seen; `"unclear"` counts what is not as promised.
        examples (`list[str]`): The first unclear outcomes, in words.
        seconds (`float`): How long the part took.
    """

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def add_unclear(self, what: str) -> None:
        self.outcomes[UNCLEAR] += 1
        if len(self.examples) < 10:
            self.examples.append(what)

    @property
    def num_unclear(self) -> int:
        return self.outcomes[UNCLEAR]

    @property
    def tried(self) -> int:
        return self.outcomes.total()

    def row(self) -> list[Any]:
        clear = [f"{count:,} {name}" for name, count in self.outcomes.most_common() if name != UNCLEAR]
        return [self.name, self.tried, "; ".join(clear), self.num_unclear]

    def to_dict(self) -> dict[str, Any]:
        return vars(self) | {"outcomes": dict(self.outcomes)}
