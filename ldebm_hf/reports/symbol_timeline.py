"""Symbols over time: how often each one occurs in every year, month, week or day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

UNITS = ("year", "month", "week", "day", "hour")
"""From the longest to the shortest."""
FEWEST_PERIODS = 6
"""Periods are as long as possible, but at least so many, if the dates allow it."""
MOST_PERIODS = 200
"""The most periods; with more the next longer unit is taken."""
SHORT_FORMS = {4: "%Y", 7: "%Y-%m"}
"""Forms of a year and of a month, by their length; other dates are in any form of ISO 8601."""


def read_date(text: str | None) -> datetime | None:
    """The date that a text is, without its time zone; `None` for anything else than a date of ISO 8601 with its year
    in front, such as `2024`, `2024-05`, `2024-05-17` and `2024-05-17T08:30`."""
    if text is None or not text[:4].isdigit():
        return None
    try:
        if len(text) in SHORT_FORMS:
            return datetime.strptime(text, SHORT_FORMS[len(text)])
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def is_dates(classes: Sequence[str | None]) -> bool:
    """Whether all known values of an attribute are dates, at least two different ones, of years 1000 to 2999."""
    known = {name for name in classes if name is not None}
    if len(known) < 2:
        return False
    dates = [read_date(name) for name in known]
    return all(date is not None and 1000 <= date.year < 3000 for date in dates)


def symbols_over_time(attribute: str, classes: Sequence[str | None], assignments: np.ndarray) -> dict[str, Any]:
    """
    Numbers of texts by period and symbol.

    Args:
        attribute (`str`): Name of the column with the dates.
        classes (`Sequence[str | None]`): The date of each text, `None` where unknown.
        assignments (`np.ndarray` of shape `(num_texts,)`): The symbol of each text.

    Returns:
        `dict`: `attribute`, `unit` (one of `UNITS`), `periods` (the beginning of each period, without gaps), `totals`
        (texts of each period) and `counts` (`{symbol id: [texts of each period]}`, for symbols that have any).
    """
    dates = [read_date(name) for name in classes]
    first, last = (end(date for date in dates if date is not None) for end in (min, max))
    unit = _unit(first, last)
    periods = _periods(first, last, unit)
    place = {period: number for number, period in enumerate(periods)}
    counts: dict[int, Counter] = {}
    for date, symbol in zip(dates, assignments.tolist(), strict=True):
        if date is not None:
            counts.setdefault(symbol, Counter())[place[_beginning(date, unit)]] += 1
    rows = {symbol: [own[number] for number in range(len(periods))] for symbol, own in sorted(counts.items())}
    return {
        "attribute": attribute,
        "unit": unit,
        "periods": [_shown(period, unit) for period in periods],
        "totals": [sum(column) for column in zip(*rows.values(), strict=True)],
        "counts": {str(symbol): row for symbol, row in rows.items()},
    }


def shares_over_time(timeline: Mapping[str, Any], symbol: int) -> list[float | None] | None:
    """The share of a symbol in the texts of each period; `None` for periods without texts, and for a symbol that has
    no texts with a date."""
    counts = timeline["counts"].get(str(symbol))
    if counts is None:
        return None
    return [count / total if total else None for count, total in zip(counts, timeline["totals"], strict=True)]


def _unit(first: datetime, last: datetime) -> str:
    allowed = [unit for unit in UNITS if _roughly(first, last, unit) <= MOST_PERIODS] or [UNITS[0]]
    return next((unit for unit in allowed if _roughly(first, last, unit) >= FEWEST_PERIODS), allowed[-1])


def _roughly(first: datetime, last: datetime, unit: str) -> float:
    """Number of periods between two dates."""
    days = (last - first) / timedelta(days=1)
    return 1 + days / {"year": 365.25, "month": 30.44, "week": 7, "day": 1, "hour": 1 / 24}[unit]


def _periods(first: datetime, last: datetime, unit: str) -> list[datetime]:
    periods, period = [], _beginning(first, unit)
    while period <= last:
        periods.append(period)
        # A step that always reaches the next period, and never the one after it.
        step = {"year": 366, "month": 31, "week": 7, "day": 1, "hour": 1 / 24}[unit]
        period = _beginning(period + timedelta(days=step), unit)
    return periods


def _beginning(date: datetime, unit: str) -> datetime:
    if unit == "year":
        return datetime(date.year, 1, 1)
    if unit == "month":
        return datetime(date.year, date.month, 1)
    if unit == "hour":
        return datetime(date.year, date.month, date.day, date.hour)
    day = datetime(date.year, date.month, date.day)
    return day - timedelta(days=day.weekday()) if unit == "week" else day


def _shown(period: datetime, unit: str) -> str:
    return period.strftime({"year": "%Y", "month": "%Y-%m", "hour": "%Y-%m-%d %H:00"}.get(unit, "%Y-%m-%d"))
