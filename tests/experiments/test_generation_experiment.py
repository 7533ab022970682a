"""Scores of what models write beside those of real texts."""

import json

import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from ldebm_hf import build_tokenizer
from ldebm_hf.data import load_corpus
from ldebm_hf.experiments import generation_experiment
from ldebm_hf.experiments.generation_experiment import (
    GenerationSettings,
    RealTexts,
    draw_samples,
    generation_scores,
    likelihood_scores,
    training_latents,
)
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.scores import corpus_bleu, reverse_perplexity
from ldebm_hf.scores.lstm_language_model import LanguageModelSettings
from ldebm_hf.scores.word_frequencies import word_divergence

SMALL = LanguageModelSettings(embedding_size=8, hidden_size=8, num_layers=1, num_epochs=1)

@pytest.fixture(scope="module")
def corpus():
    return load_corpus("synthetic", max_train_examples=300)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return build_tokenizer(corpus.train.texts, max_length=12)


@pytest.fixture(scope="module")
def real(corpus, tokenizer) -> RealTexts:
    return RealTexts.from_corpus(corpus, tokenizer)


def test_real_texts_are_in_the_words_of_the_model_whole_and_cut(corpus, tokenizer, real):
    assert len(real.training) == len(real.known_training) == 300
    i = max(range(300), key=lambda i: len(corpus.train.texts[i].split()))
    assert real.training[i] == corpus.train.texts[i] and len(real.training[i].split()) > 10
    assert real.known_training[i].split() == real.training[i].split()[:10], "12 tokens with both marks"
    assert any("<unk>" in text for text in real.held_out)


def test_samples_that_are_real_texts_score_as_these_do(tokenizer, real, tmp_path, monkeypatch):
    size = len(real.held_out)
    settings = GenerationSettings(size, SMALL)
    samples = [*real.held_out[::-1], *real.held_out[: settings.num_drawn - size]]
    monkeypatch.setattr(generation_experiment, "draw_samples", lambda *arguments, **options: samples)
    uncut = RealTexts(real.training, real.held_out, real.training, real.held_out)
    folders = {"folder": tmp_path / "run", "shared_folder": tmp_path / "shared"}
    scores, written = generation_scores(tiny_model(vocab_size=len(tokenizer)), tokenizer, uncut, settings, **folders)
    assert written == {"": samples}
    for name in ("word_kl_same_size", "word_kl_smoothed", "distinct_1", "distinct_2", "copied", "words_per_text"):
        assert scores[name] == pytest.approx(scores[f"real_{name}"]), name
    assert scores["word_kl"] == scores["word_kl_same_size"]
    assert {"bleu", "exact", "mutual_information", "symbols_used"} <= scores.keys()
    assert 0 < scores["real_bleu"] < 50 < corpus_bleu(real.held_out, real.held_out)
    options = {"vocabulary": {word for text in real.training for word in text.split()}}
    assert scores["reverse_perplexity"] == reverse_perplexity(samples, real.held_out, SMALL, **options).perplexity
    drawn = np.random.default_rng(0).permutation(len(real.training))[: settings.num_drawn]
    as_many = reverse_perplexity([real.training[i] for i in drawn], real.held_out, SMALL, **options)
    assert scores["real_reverse_perplexity"] == as_many.perplexity
    assert len(list((tmp_path / "run").iterdir())) == 1 and len(list((tmp_path / "shared").iterdir())) <= 2


def test_a_language_model_is_scored_without_reconstructions(tokenizer, real, tmp_path):
    settings = GenerationSettings(20, SMALL, ways={"words drawn": {"do_sample": True}})
    folders = {"folder": tmp_path, "shared_folder": tmp_path / "shared"}
    model = tiny_model("rnn_lm", vocab_size=len(tokenizer))
    scores, samples = generation_scores(model, tokenizer, real, settings, **folders)
    assert "bleu" not in scores and "mutual_information" not in scores and len(samples[""]) == settings.num_drawn == 22
    assert scores["perplexity"] > 1 < scores["reverse_perplexity"] and list(samples) == [""]


def test_other_ways_of_writing_are_scored_beside_the_published_one(tokenizer, real, tmp_path):
    drawn, from_texts = {"do_sample": True, "top_k": 0}, {"latents": "training_texts"}
    settings = GenerationSettings(20, SMALL, ways={"words drawn": drawn, "latents of training texts": from_texts})
    folders = {"folder": tmp_path / "run", "shared_folder": tmp_path / "shared"}
    model = tiny_model(vocab_size=len(tokenizer))
    scores, samples = generation_scores(model, tokenizer, real, settings, **folders)
    assert list(samples) == ["", *settings.ways] and len({tuple(texts) for texts in samples.values()}) == 3
    for way, texts in samples.items():
        suffix = f"@{way}" if way else ""
        assert scores[f"word_kl{suffix}"] == word_divergence(texts[:20], real.training).word_kl
        assert scores[f"reverse_perplexity{suffix}"] > 1 < scores[f"perplexity{suffix}"]
    assert "bleu" in scores and not any(name.startswith(("bleu@", "real_bleu@")) for name in scores)
    latents = training_latents(model, tokenizer, real, settings.num_drawn)
    greedy = model.generate(latents=latents)
    assert samples["latents of training texts"] == decode_words(tokenizer, greedy)


def test_latents_of_training_texts_are_draws_of_their_posteriors(tokenizer, real):
    model = tiny_model("vae", vocab_size=len(tokenizer))
    with torch.no_grad():
        for parameter in model.encoder.heads.parameters():
            parameter.zero_()  # q(z|x) = N(0, I), whatever the text
    latents = training_latents(model, tokenizer, real, 400, seed=1)
    assert latents.shape == (400, model.config.latent_size)
    assert latents.mean().abs() < 4 * latents.numel() ** -0.5
    assert (latents.std() - 1).abs() < 4 * (2 * latents.numel()) ** -0.5
    assert torch.equal(latents, training_latents(model, tokenizer, real, 400, seed=1))


@pytest.mark.parametrize("options", [{"latents": "prior"}, {"class_labels": "good"}, {"num_samples": 3}])
def test_ways_of_writing_that_are_no_options_of_generate_are_refused(options):
    with pytest.raises(ValueError, match="ways must have options of generate and latents: training_texts, got .* for"):
        GenerationSettings(ways={"w": options})


def test_language_models_draw_words_and_others_take_the_likeliest(tokenizer, tmp_path):
    drawn = draw_samples(tiny_model("rnn_lm", vocab_size=len(tokenizer)), tokenizer, 6, tmp_path / "lm")
    assert len(set(drawn)) == 6, "one sentence, if the likeliest words were taken"
    model = tiny_model(vocab_size=len(tokenizer))
    samples = draw_samples(model, tokenizer, 6, tmp_path / "ldebm", seed=1)
    (file,) = (tmp_path / "ldebm").iterdir()
    assert [json.loads(line)["text"] for line in file.read_text().splitlines()] == samples
    file.write_text(file.read_text().replace(samples[0], "kept"))
    assert draw_samples(model, tokenizer, 6, tmp_path / "ldebm", seed=1)[0] == "kept"
    draw_samples(model, tokenizer, 7, tmp_path / "ldebm", seed=1)
    assert len(list((tmp_path / "ldebm").iterdir())) == 2, "another number is another file"


def test_as_many_more_samples_choose_the_epoch_as_published():
    assert GenerationSettings().num_drawn == 43_000 and GenerationSettings().description["samples"] == "40000"
    with pytest.raises(ValueError, match="num_samples must be at least 2, got 1"):
        GenerationSettings(1)


def test_likelihoods_are_read_where_they_were_estimated(tmp_path):
    assert likelihood_scores(tmp_path, "validation") == {}
    summary = {"lower": -90.5, "published": None, "num_examples": 40, "untrusted_share": 0.25}
    quality = {"nll_texts": 40, "nll_too_poor": 0.25}
    (tmp_path / "likelihood.json").write_text(json.dumps({"summary": summary}))
    assert likelihood_scores(tmp_path, "validation") == {"nll": 90.5} | quality
    (tmp_path / "likelihood.json").write_text(json.dumps({"summary": summary | {"published": -80.0}}))
    assert likelihood_scores(tmp_path, "validation") == {"nll": 90.5, "nll_published": 80.0} | quality
    assert likelihood_scores(tmp_path, "test") == {}, "that is of the validation split"


def test_a_model_that_writes_nothing_is_scored(tokenizer, real, tmp_path, monkeypatch):
    monkeypatch.setattr(generation_experiment, "draw_samples", lambda *arguments, **options: [""] * 20)
    folders = {"folder": tmp_path / "run", "shared_folder": tmp_path / "shared"}
    model = tiny_model(vocab_size=len(tokenizer))
    scores, _ = generation_scores(model, tokenizer, real, GenerationSettings(18, SMALL), **folders)
    assert scores["empty_share"] == 1 and scores["perplexity"] > 1 and scores["reverse_perplexity"] > 1
    assert not {"word_kl", "self_bleu"} & scores.keys() and "real_self_bleu" in scores


def test_samples_of_other_latents_are_other_samples(tokenizer, tmp_path):
    model = tiny_model(vocab_size=len(tokenizer))
    model.generation_config.max_new_tokens = 5
    for scale in (0, 1, 1):
        latents = scale * torch.ones(3, model.config.total_latent_size)
        draw_samples(model, tokenizer, 3, tmp_path, latents=latents)
    assert len(list(tmp_path.glob("samples-*.jsonl"))) == 2
