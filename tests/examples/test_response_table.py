"""A table of responses, as the paper's Table 4, and one checkpoint of it: hardly trained models of a tiny release."""

import json

import pytest
import yaml
from untrained import load_script

TURNS = [("driver", "will it {} in {}"), ("assistant", "it will {}"), ("driver", "thanks"), ("assistant", "fine")]
TABLE = {
    "title": "Responses about the weather",
    "recipe": "smd_responses",
    "measure": "responses",
    "rows": {"ours": {"clustering": {"enabled": False}}, "lm": {"model": {"preset": "rnn_lm"}}},
    "published": {"ours": {"embedding_average": 0.8}},
    "text_baselines": ["nearest_context"],
    "ways": {"beam of 3": {"num_beams": 3}, "consensus": {"num_candidates": 2}},
    "shown_sentences": 2,
}
TINY = ["model.context_size=8", "model.context_hidden_size=4", "model.num_symbols=3", "model.energy_num_blocks=1"]


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("release")
    for split, count in (("train", 12), ("dev", 3)):
        dialogues = []
        for number in range(count):
            weather = ("rain", "snow", "hail")[number % 3], ("vienna", "oslo")[number % 2]
            turns = [{"turn": who, "data": {"utterance": text.format(*weather)}} for who, text in TURNS]
            dialogues.append({"dialogue": turns, "scenario": {"task": {"intent": "weather"}}})
        (folder / f"kvret_{split}_public.json").write_text(json.dumps(dialogues))
    return str(folder)


def test_responses_are_scored_by_vectors_that_are_named(release, tmp_path, capsys):
    evaluate = load_script("evaluate")
    (tmp_path / "weather.yaml").write_text(yaml.safe_dump(TABLE))
    command = ["--config", str(tmp_path / "weather.yaml"), "--data_dir", release, "--smoke", "--output_dir"]
    command += [str(tmp_path / "out"), "--set", *TINY]
    evaluate.main(command)
    text = (tmp_path / "out" / "smoke" / "weather" / "table.md").read_text()
    assert text in capsys.readouterr().out
    lines = text.splitlines()
    titles = [title.strip() for title in lines[2].split("|")]
    assert {"BLEU", "embedding average", "embedding extrema by chance", "words with a vector %"} <= set(titles)
    assert {"own reference nearer % (chance 50)", "its standard error"} <= set(titles)
    paper = [cell.strip() for cell in lines[4].split("|")]
    assert paper[1] == "ours (paper)" and paper[titles.index("embedding average")] == "80"
    assert "word vectors: trained on the training texts (PPMI and truncated SVD, by scikit-learn)" in lines
    assert len([line for line in lines if line.startswith("* <d>")]) >= 2
    names = {line.split("|")[1].strip() for line in lines[5:11]}
    assert names == {"ours", "ours, beam of 3", "ours, consensus", "lm", "lm, beam of 3", "nearest_context"}
    copied = tmp_path / "out" / "smoke" / "weather" / "nearest_context" / "0" / "scores.json"
    # Every held-out dialogue stands in training: all is copied rightly but first turns, whose context is empty.
    copied = json.loads(copied.read_text())["scores"]
    assert copied["bleu"] > 50
    # Its turns are too short to tell that it stands there.
    assert copied["bleu"] == copied["bleu_unseen"] and copied["unseen_share"] == 1
    assert "responses, beam of 3 (what was said)" in text
    run = tmp_path / "out" / "smoke" / "weather" / "ours" / "0"
    before = json.loads((run / "scores.json").read_text())["scores"]
    assert before["embedding_coverage"] == 1 and "bleu" in before and 0 <= before["retrieval"] <= 1

    vectors = tmp_path / "vectors.txt"
    vectors.write_text("it 1 0\nthanks 0 1\nrain 1 1\nfine -1 1\nwill 1 2\n")
    evaluate.main([*command, "--word_vectors", str(vectors)])
    assert f"word vectors: of {vectors}" in capsys.readouterr().out
    after = json.loads((run / "scores.json").read_text())["scores"]
    assert after["bleu"] == before["bleu"], "the same model, not another one"
    assert after.get("embedding_coverage") != before["embedding_coverage"]

    evaluate.main([str(run), "--word_vectors", str(vectors)])
    assert f"word vectors: of {vectors}" in capsys.readouterr().out
    scores = json.loads((run / "evaluation.json").read_text())
    assert {"bleu", "reconstruction_bleu", "retrieval", "words_per_text"} <= set(scores)
    with pytest.raises(FileNotFoundError, match="no word vectors: looked for"):
        evaluate.main([*command, "--word_vectors", "none.txt"])
