"""The README's first lines of Python, as they stand there."""

import re
from functools import partial
from pathlib import Path

import ldebm_hf
from ldebm_hf import LDEBM

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_first_lines_of_python_run(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    block = next(block for block in BLOCKS if "LDEBMPipeline" in block)
    names = {}
    exec(block, names)
    pipe = names["pipe"]
    for symbol in ("positive", "negative"):
        written = pipe.write(symbol, 3, min_label_probability=0.9, generator=0)
        assert all(repr(text) in block for text in written)
    assert pipe.classify("The soup was COLD!")[0]["label"] == "negative"
    assert pipe.complete("The <span> wasn't fresh.", generator=0)[0].text == "The food wasn't fresh."
    assert repr(pipe.read("The soup was COLD!").reconstruction) in block
    assert pipe.latents(["a", "b"]).shape == (2, 40)
    assert pipe.neighbours("The soup was cold.", ["A lovely place!", "My food was cold."], 1)[0].index == 1
    assert names["model"].infer_symbols(**names["batch"]).shape == (2, 2)


def test_three_lines_fit_a_model(monkeypatch, tmp_path):
    tiny = {"embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "latent_size": 4, "max_steps": 3,
            "energy_hidden_size": 8, "energy_num_blocks": 1, "langevin_steps": 2, "encoder": None}  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ldebm_hf, "LDEBM", partial(LDEBM, **tiny), raising=False)
    texts = [f"the {one} and the {other}" for one in ("sea", "tide", "salt") for other in ("city", "tram", "lamp")]
    names = {"texts": texts * 4}
    exec(BLOCKS[0], names)
    assert (tmp_path / "outputs" / "requests" / "report.html").is_file()
    assert len(names["model"].predict(texts)) == len(texts)


def test_it_names_how_to_test():
    assert "`make test`" in README and "`.ci/run`" in README


def test_it_takes_three_minutes():
    """At 300 words a minute, without code and addresses."""
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)|<!--.*?-->|\|[-|]+\|", " ", prose)
    assert len([word for word in prose.split() if re.search(r"\w", word)]) < 900
