"""Columns of tables for the scores that there are."""

from ldebm_hf.experiments.score_tables import (
    chance_level,
    columns_of,
    mean_and_deviation,
    score_table,
    table_of_rows,
)

RESPONSES = {"bleu": 2.5, "embedding_average": 0.8, "embedding_average_chance": 0.75, "embedding_coverage": 0.9}


def cells(markdown: str) -> list[list[str]]:
    """The cells of every line of a table in Markdown."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]


def test_there_are_columns_for_what_is_known_of_some_row():
    rows = {"paper": {"paper": {"bleu": 3.0}}, "ours": {"0": RESPONSES, "1": RESPONSES | {"bleu": 3.5}}}
    titles = ["BLEU", "embedding average", "embedding average by chance", "words with a vector %"]
    assert list(columns_of(rows)) == titles
    assert cells(score_table(rows))[2:] == [
        ["paper", "3", "", "", ""],
        ["ours", "3 ± 0.71", "80 ± 0", "75 ± 0", "90 ± 0"],
    ]


def test_symbols_and_classes():
    scores = {"act_homogeneity": 0.4, "act_homogeneity_chance": 0.02, "act_batched_homogeneity": 0.8,
              "kmeans_act_homogeneity": 0.3, "accuracy": 0.5, "accuracy_play_music": 0.25, "accuracy@2": 0.75,
              "calibration_error_20_labels": 0.1, "cpu_seconds": 3.0}  # fmt: skip
    cells = {title: cell({name: [value] for name, value in scores.items()})
             for title, cell in columns_of({"ours": {"0": scores}}).items()}  # fmt: skip
    assert cells == {
        "as asked for %": "50",
        "act: homogeneity (chance)": "0.4 (0.02)",
        "act: V-measure (chance)": "",
        "act: in batches, as published (chance)": "0.8",
        "act: K-means of latents": "0.3",
        "play music %": "25",
        "ECE, 20 labels %": "10",
        "CPU s": "3",
    }


def test_measures_of_symbols_have_columns_where_they_are_known():
    scores = {"act_homogeneity": 0.4, "act_probe_of_symbols": 0.5, "act_probe_of_symbols_chance": 0.2,
              "kmeans_act_probe_of_symbols": 0.45, "act_probe_of_latents": 0.6, "name_accuracy": 0.1,
              "name_accuracy_chance": 0.01, "kmeans_name_accuracy": 0.2, "seed_agreement": 0.3}  # fmt: skip
    other = scores | {"seed_agreement": 0.4}
    assert [title for title in columns_of({"ours": {"0": RESPONSES}}) if "seeds" in title or "guessed" in title] == []
    cells = {title: cell({name: [scores[name], other[name]] for name in scores})
             for title, cell in columns_of({"ours": {"0": scores, "1": other}}).items()}  # fmt: skip
    assert cells["act: macro-F1 from symbols (majority)"] == "0.5 ± 0 (0.2)"
    assert cells["act: macro-F1 from K-means of latents (majority)"] == "0.45 ± 0"
    assert cells["act: macro-F1 from latents (majority)"] == "0.6 ± 0"
    assert cells["symbols guessed from their names (chance)"] == "0.1 ± 0 (0.01)"
    assert cells["K-means of latents guessed from their names (chance)"] == "0.2 ± 0"
    assert cells["symbols: ARI between seeds"] == "0.35"
    assert "K-means of latents: ARI between seeds" not in cells


def test_tables_show_means_and_sample_deviations_over_the_seeds():
    rows = {"a": {"0": {"x": 1.0, "c": 0.1}, "1": {"x": 3.0, "c": 0.3}}, "b": {"0": {"x": 2.0}}, "c": {"0": {}}}
    columns = {"x": lambda scores: mean_and_deviation(scores.get("x"), 100) + chance_level(scores.get("c"))}
    lines = cells(table_of_rows(rows, columns))
    assert lines[0] == ["model", "x"]
    assert lines[2:] == [["a", "200 ± 1.4e+02 (0.2)"], ["b", "200"], ["c", ""]]
