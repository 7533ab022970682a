"""Symbols over time: dates that are read, and numbers of texts by period."""

import numpy as np
import pytest

from ldebm_hf.reports.symbol_timeline import is_dates, read_date, shares_over_time, symbols_over_time


@pytest.mark.parametrize("text", ["2024", "2024-05", "2024-05-17", "2024-05-17T08:30:00+02:00", "2024-05-17 08:30"])
def test_dates_of_iso_8601_are_read(text):
    date = read_date(text)
    assert date.year == 2024 and date.tzinfo is None


@pytest.mark.parametrize("text", [None, "", "May 2024", "17.05.2024", "2024-13", "12", "positive", "20245"])
def test_other_texts_are_no_dates(text):
    assert read_date(text) is None


def test_an_attribute_is_of_dates_if_all_known_values_are():
    assert is_dates(["2024-01-01", None, "2024-02-01"])
    assert not is_dates(["2024-01-01", "2024-01-01"]), "one date is no course of time"
    assert not is_dates(["2024-01-01", "rain"]) and not is_dates([None]) and not is_dates(["0001", "0002"])


@pytest.mark.parametrize(
    ("first", "last", "unit", "number"),
    [
        ("1999", "2024", "year", 26),
        ("2023-11-30", "2024-06-01", "month", 8),
        ("2024-05-01", "2024-06-30", "week", 9),
        ("2024-05-01", "2024-05-12", "day", 12),
        ("2024-05-01T01:10", "2024-05-01T12:00", "hour", 12),
    ],
)
def test_periods_are_as_long_as_they_may_be_and_have_no_gaps(first, last, unit, number):
    timeline = symbols_over_time("date", [first, last], np.array([0, 1]))
    assert timeline["unit"] == unit and len(timeline["periods"]) == number == len(set(timeline["periods"]))
    assert timeline["periods"] == sorted(timeline["periods"])
    assert timeline["counts"]["0"] == [1] + [0] * (number - 1) and timeline["counts"]["1"] == [0] * (number - 1) + [1]


def test_counts_and_shares_leave_out_texts_without_a_date():
    dates = ["2020", "2020", "2021", None, "2026"]
    timeline = symbols_over_time("year", dates, np.array([0, 2, 2, 0, 0]))
    assert timeline["periods"][0] == "2020" and timeline["totals"] == [2, 1, 0, 0, 0, 0, 1]
    assert timeline["counts"] == {"0": [1, 0, 0, 0, 0, 0, 1], "2": [1, 1, 0, 0, 0, 0, 0]}
    assert shares_over_time(timeline, 2) == [0.5, 1.0, None, None, None, None, 0.0]
    assert shares_over_time(timeline, 1) is None
