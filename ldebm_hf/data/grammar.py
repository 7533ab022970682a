"""Probabilistic context-free grammars written as text: draw sentences from them, and tell whether one is derivable."""

from __future__ import annotations

import random
from functools import cache


class Grammar:
    """A grammar of rules `NAME = alternative | alternative`, one per line; an indented line continues the last rule.

    An alternative is a row of parts: NAMES of rules in capitals, and words. All alternatives of a rule are equally
    likely. A part with a question mark is left out half of the time. No rule may begin with itself.
    """

    def __init__(self, text: str):
        self.rules: dict[str, list[list[tuple[str, bool]]]] = {}
        for rule in filter(None, text.replace("\n ", " ").splitlines()):
            name, _, right_side = rule.partition(" = ")
            alternatives = [alternative.split() for alternative in right_side.split("|")]
            self.rules[name] = [[(part.rstrip("?"), part.endswith("?")) for part in parts] for parts in alternatives]
        undefined = {part for rule in self.rules.values() for parts in rule for part, _ in parts if part.isupper()}
        if undefined - self.rules.keys():
            raise ValueError(f"rules used but not defined: {sorted(undefined - self.rules.keys())}")

    @property
    def words(self) -> set[str]:
        return {part for rule in self.rules.values() for parts in rule for part, _ in parts} - self.rules.keys()

    def sample(self, name: str, rng: random.Random) -> list[str]:
        """The words of a random sentence that the rule `name` derives."""
        if name not in self.rules:
            return [name]
        parts = [part for part, optional in rng.choice(self.rules[name]) if not optional or rng.random() < 0.5]
        return [word for part in parts for word in self.sample(part, rng)]

    def derives(self, name: str, words: list[str]) -> bool:
        """Whether the rule `name` can produce exactly these words."""

        @cache
        def ends(part: str, start: int) -> frozenset[int]:
            """Where a `part` that begins at `start` can end."""
            if part not in self.rules:
                return frozenset([start + 1] if words[start : start + 1] == [part] else [])
            found = set()
            for parts in self.rules[part]:
                positions = {start}
                for next_part, optional in parts:
                    reached = {end for position in positions for end in ends(next_part, position)}
                    positions = positions | reached if optional else reached
                found |= positions
            return frozenset(found)

        return len(words) in ends(name, 0)
