"""Values that make no sense for most arguments, and values that differ from valid ones."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import torch


def nonsense() -> list[Callable[[], Any]]:
    """Values of which each makes no sense for most arguments."""
    nan, infinity = float("nan"), float("inf")
    return [
        lambda: None,
        lambda: True,
        lambda: False,
        lambda: -1,
        lambda: 0,
        lambda: 1.5,
        lambda: nan,
        lambda: infinity,
        lambda: -infinity,
        lambda: 1e38,
        lambda: 10**9,
        lambda: 2**63,
        lambda: -(10**30),
        lambda: "",
        lambda: "abc",
        lambda: "nan",
        lambda: "\ud800",
        lambda: ["\ud800"],
        lambda: b"abc",
        lambda: [],
        lambda: [[]],
        lambda: [None],
        lambda: [1, [2, 3]],
        lambda: [["a", ["b"]]],
        lambda: [["a", "b"], ["c"]],
        lambda: {},
        lambda: {"a": 1},
        lambda: {1, 2},
        lambda: (1, 2, 3, 4, 5, 6, 7),
        object,
        lambda: len,
        lambda: 1 + 2j,
        lambda: Decimal("0.5"),
        lambda: np.float64(nan),
        lambda: np.int64(2),
        lambda: np.float32(0.5),
        lambda: np.array(2),
        lambda: np.array([]),
        lambda: np.array([[1.5, nan]]),
        lambda: np.array(["a", "b"]),
        lambda: np.array([[1, None]], object),
        lambda: torch.tensor(2),
        lambda: torch.tensor(nan),
        lambda: torch.empty(0),
        lambda: torch.empty(0, 4),
        lambda: torch.tensor([[1, 2], [3, 4]]),
        lambda: torch.zeros(2, 3, 4),
        lambda: torch.zeros(3, 4, device="meta"),
        lambda: torch.zeros(3, 4, dtype=torch.long, device="meta"),
        lambda: torch.zeros(3, 4, dtype=torch.complex64),
        lambda: torch.full((3, 4), nan),
        lambda: torch.full((3, 4), 1e38),
        lambda: torch.full((3, 4), -infinity),
        lambda: torch.full((3, 4), 10**9),
        lambda: torch.full((3, 4), -5),
        lambda: torch.ones(3, 4, dtype=torch.bool),
        lambda: torch.ones(3, 4, dtype=torch.float16),
        lambda: torch.eye(4).to_sparse(),
    ]


def distorted(value: Any) -> list[Callable[[], Any]]:
    """Values that differ from a valid one in shape, type, device or size."""
    if isinstance(value, torch.Tensor):
        changes = [
            lambda: value[None],
            lambda: value.flatten(),
            lambda: value.transpose(0, -1),
            lambda: value.float(),
            lambda: value.half(),
            lambda: value.double(),
            lambda: value.bool(),
            lambda: value.to("meta"),
            lambda: -value - 1,
            lambda: value + 10**6,
            lambda: value[:0],
            lambda: value[..., :0],
            lambda: value[:1],
            lambda: torch.cat([value, value[:1]]),
            lambda: value.tolist(),
            lambda: value.numpy(),
            lambda: [*value.tolist(), value[0].tolist()[:-1] if value.ndim > 1 else "x"],
            lambda: value.float().fill_(float("nan")),
            lambda: value.to(torch.int8),
            lambda: [row for row in value],
        ]
        return changes
    if isinstance(value, bool) or value is None:
        return [lambda: int(bool(value)), lambda: str(value)]
    if isinstance(value, int):
        return [lambda: float(value), lambda: value + 0.5, lambda: str(value), lambda: -value, lambda: np.int16(value)]
    if isinstance(value, float):
        return [lambda: -value, lambda: str(value), lambda: np.float64(value), lambda: torch.tensor(value)]
    if isinstance(value, str):
        return [lambda: [value], lambda: value.encode(), lambda: value * 100, lambda: value + "\udfff"]
    if isinstance(value, list):
        return [lambda: [*value, None], lambda: [value], lambda: tuple(value), lambda: value[:0], lambda: value * 2]
    return [lambda: str(value), lambda: [value]]
