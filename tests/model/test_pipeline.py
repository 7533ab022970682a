"""One object for model and tokenizer: it answers as the model's own methods do, and refuses bad requests."""

import numpy as np
import pytest
import torch
from tiny_base_models import bert, pretrained_settings, word_tokenizer
from tiny_models import tiny_model

from ldebm_hf import (
    LDEBMConfig,
    LDEBMModel,
    LDEBMPipeline,
    build_document_tokenizer,
    build_subword_tokenizer,
    build_tokenizer,
)
from ldebm_hf.model.pipeline_ldebm import NOT_READ
from ldebm_hf.model.pipeline_outputs import WrittenText, cost_of_rejection

TEXTS = ["a b c", "d", "e f g h a", "c b a", "h g"]


def pipeline_of(preset="consistent", **settings) -> LDEBMPipeline:
    tokenizer = build_tokenizer(["a b c d e f g h"], max_length=12)
    model = tiny_model(preset, vocab_size=len(tokenizer), **settings)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(6)  # texts get different latents
        model.encoder.heads.mean.bias.zero_()
        model.decoder.initial_state.weight.mul_(8)  # latents decide what is written
    return LDEBMPipeline(model, tokenizer, device="cpu")


@pytest.fixture(scope="module")
def pipe():
    return pipeline_of()


def strings(pipe, ids) -> list[str]:
    return pipe.tokenizer.batch_decode(ids, skip_special_tokens=True)


def batch_of(pipe, texts):
    return pipe.tokenizer(texts, return_tensors="pt", padding=True)


# ------------------------------------------------------------------------------------------------------------- writing


def test_written_texts_are_those_of_generate(pipe):
    options = {"guidance_scale": 2.0, "do_sample": True, "temperature": 1.5}
    expected = pipe.model.generate(class_labels=[1, 1, 1, 0, 0, 0], generator=5, suppress_tokens=[1], **options)
    assert pipe.write(["bad", 0], 3, generator=5, **options) == strings(pipe, expected)
    from_prior = pipe.model.generate(num_samples=4, generator=5, suppress_tokens=[1])
    assert pipe.write(num_texts=4, generator=5) == strings(pipe, from_prior)
    assert pipe.write(num_texts=4, generator=6) != pipe.write(num_texts=4, generator=5)


def test_texts_are_written_in_batches(pipe, monkeypatch):
    sizes, generate = [], pipe.model.generate
    monkeypatch.setattr(pipe.model, "generate", lambda **asked: sizes.append(asked) or generate(**asked))
    assert len(pipe.write(["good", "bad"], 5, batch_size=4)) == 10
    assert [asked["class_labels"].tolist() for asked in sizes] == [[0] * 4, [0, 1, 1, 1], [1, 1]]


def test_written_texts_are_read_as_classify_reads_them(pipe):
    written = pipe.write_and_read(["good", "neutral"], 3, generator=2)
    assert [one.text for one in written] == pipe.write(["good", "neutral"], 3, generator=2)
    assert [one.requested for one in written] == ["good"] * 3 + ["neutral"] * 3
    read = pipe.classify([one.text for one in written])
    assert [one.read for one in written] == [found["label"] for found in read]
    assert [one.probability for one in written] == pytest.approx([found["score"] for found in read], abs=1e-5)
    assert {one.requested for one in pipe.write_and_read(num_texts=2)} == {None}


def test_texts_that_are_misread_are_resampled(pipe):
    options = {"do_sample": True, "temperature": 1.5, "generator": 0, "min_label_probability": 0.35}
    expected = strings(pipe, pipe.model.generate(class_labels=[2] * 6, suppress_tokens=[1], **options))
    assert pipe.write("neutral", 6, **options) == expected
    written = pipe.write_and_read("neutral", 6, **options)
    assert [one.text for one in written] == expected
    options_of_dict = options | {"suppress_tokens": [1], "return_dict_in_generate": True}
    output = pipe.model.generate(class_labels=[2] * 6, **options_of_dict)
    assert [one.num_candidates for one in written] == output.num_candidates.tolist()
    assert [one.is_accepted for one in written] == output.is_accepted.tolist()
    assert {one.num_candidates for one in pipe.write_and_read("neutral", 2)} == {None}
    plain = {name: value for name, value in options.items() if name != "min_label_probability"}
    assert pipe.write("neutral", 6, **plain) != expected


def test_the_cost_of_rejection_is_one_sentence():
    texts = [WrittenText("a", "good", "good", 0.9, is_accepted=True, num_candidates=number) for number in (1, 4, 2)]
    texts.append(WrittenText("b", "good", "bad", 0.9, is_accepted=False, num_candidates=3))
    assert cost_of_rejection(texts) == (
        "10 candidates were examined for 4 sentences (2.5 for each), of which 30% reach the minimum probability."
    )
    assert cost_of_rejection([WrittenText("a", "good", "good", 0.9)]) == cost_of_rejection([]) == ""


def test_prompts_stay_as_they_are_written(pipe):
    texts = pipe.write("good", 4, prompt="a zebra", generator=1, do_sample=True)
    assert len(set(texts)) > 1 and all(text.startswith("a zebra") for text in texts)
    ids = torch.tensor([[2, *pipe.tokenizer("a zebra", add_special_tokens=False)["input_ids"]]] * 4)
    options = {"class_labels": [0] * 4, "suppress_tokens": [1], "generator": 1, "do_sample": True}
    rows = pipe.model.generate(decoder_input_ids=ids, **options)
    assert [text.removeprefix("a zebra").split() for text in texts] == [
        pipe.tokenizer.decode(row[3:], skip_special_tokens=True).split() for row in rows
    ]


def test_call_has_the_format_of_text_generation(pipe):
    one = pipe("a b", class_labels="bad", num_return_sequences=2, generator=3)
    assert [found["generated_text"] for found in one] == pipe.write("bad", 2, prompt="a b", generator=3)
    several = pipe(["a b", "", "c"], num_return_sequences=2, batch_size=2)
    assert [len(found) for found in several] == [2, 2, 2]
    assert all(found["generated_text"].startswith("a b") for found in several[0])
    assert [found for found in pipe(text for text in ["a", "b"])][1][0]["generated_text"].startswith("b")
    bad = LDEBMPipeline(pipe.model, pipe.tokenizer, device="cpu", class_labels="bad", generator=4)
    assert bad("")[0]["generated_text"] == pipe.write("bad", generator=4)[0]
    with pytest.raises(ValueError, match="inputs must be strings, the beginnings of texts, got 3"):
        pipe(3)


def test_call_takes_the_usual_options_of_text_generation(pipe):
    options = {"class_labels": "bad", "num_return_sequences": 3, "generator": 3, "do_sample": True}
    whole = [one["generated_text"] for one in pipe("a b", **options)]
    assert len(set(whole)) > 1 and all(text.startswith("a b") for text in whole)
    added = [one["generated_text"] for one in pipe("a b", return_full_text=False, **options)]
    assert [f"a b{text}" for text in added] == whole
    for beginning, full, expected in (("b", True, [text[2:] for text in whole]), ("b", False, added)):
        found = pipe(beginning, prefix="a ", return_full_text=full, **options)
        assert [one["generated_text"] for one in found] == expected
    by_default = LDEBMPipeline(pipe.model, pipe.tokenizer, device="cpu", return_full_text=False, **options)
    assert [one["generated_text"] for one in by_default(["a b", ""])[0]] == added
    assert [one["generated_text"] for one in by_default("a b", return_full_text=True)] == whole
    as_it_is = {"return_tensors": False, "return_text": True, "skip_special_tokens": True, "truncation": None}
    assert [one["generated_text"] for one in pipe("a b", **as_it_is, **options)] == whole
    for name, value in {"return_full_text": "no", "prefix": 3}.items():
        with pytest.raises(ValueError, match=f"{name} must be .*, got {value!r}"):
            pipe("a b", **{name: value})


@pytest.mark.parametrize("name", NOT_READ)
def test_other_options_of_text_generation_are_refused_by_name(pipe, name):
    value = name not in ("return_text", "skip_special_tokens")
    with pytest.raises(ValueError, match=f"{name} cannot be given to this pipeline, got {value}: "):
        pipe("a b", **{name: value})
    with pytest.raises(ValueError, match=f"{name} cannot be given"):
        LDEBMPipeline(pipe.model, pipe.tokenizer, device="cpu", **{name: value})


def test_stop_sequences_end_texts_of_subwords(pipe):
    tokenizer = build_subword_tokenizer(["a b c d e f g h"] * 2, 300)
    subwords = LDEBMPipeline(tiny_model(vocab_size=len(tokenizer)), tokenizer, device="cpu")
    others = set(range(len(tokenizer))) - set(tokenizer("a b c d e f g h", add_special_tokens=False)["input_ids"])
    options = {"generator": 1, "do_sample": True, "max_new_tokens": 30, "suppress_tokens": others}
    text = subwords("", **options)[0]["generated_text"]
    letter = text.split()[2]
    for stop in (letter, [letter]):
        stopped = subwords("", stop_sequence=stop, **options)[0]["generated_text"]
        assert stopped == text[: text.index(letter) + 1] != text
    with pytest.raises(ValueError, match="must be used with a tokenizer of subwords"):
        pipe("", stop_sequence="b")


def test_beginning_stays_where_what_follows_spells_it_in_another_way():
    texts = ["i do n't like it", "i do n ' go"]
    tokenizer = build_tokenizer(texts, split_punctuation=True, lowercase=True)
    model = tiny_model(vocab_size=len(tokenizer))
    words = tokenizer("t like it", add_special_tokens=False)["input_ids"]
    pipe = LDEBMPipeline(model, tokenizer, device="cpu")
    begun = "i do n '"
    model.generate = lambda decoder_input_ids, **options: torch.tensor([[*decoder_input_ids[0].tolist(), *words]])
    (whole,), (added,) = pipe(begun), pipe(begun, return_full_text=False)
    assert whole["generated_text"] == begun + added["generated_text"]
    assert "like it" in added["generated_text"] and "do" not in added["generated_text"]


# ------------------------------------------------------------------------------------------------------------- reading


def test_latents_and_readings_are_the_models(pipe):
    output = pipe.model.encode(**batch_of(pipe, TEXTS))
    latents = pipe.latents(TEXTS, batch_size=2)
    assert latents.dtype == np.float32 and latents.shape == (5, 4)
    np.testing.assert_allclose(latents, output.posterior_mean.detach().numpy(), atol=1e-5)
    readings = pipe.read(TEXTS, batch_size=2)
    np.testing.assert_allclose([one.latent for one in readings], latents, atol=1e-5)
    copies = strings(pipe, pipe.model.generate(**batch_of(pipe, TEXTS), suppress_tokens=[1]))
    assert [one.reconstruction for one in readings] == copies and [one.text for one in readings] == TEXTS
    for reading, probabilities in zip(readings, output.symbol_logits.softmax(-1).tolist(), strict=True):
        assert list(reading.probabilities) == ["good", "bad", "neutral"]
        assert list(reading.probabilities.values()) == pytest.approx(probabilities, abs=1e-5)
    assert pipe.read("d").probabilities == pytest.approx(readings[1].probabilities, abs=1e-5)
    assert pipe.latents("d").shape == (1, 4)


def test_what_is_not_read_is_said_once(pipe, caplog):
    pipe.read(["a quark", "a b " * 8, "c"], batch_size=1)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "1 of 13 words" in warning and "1 of 3 texts are cut to 12 tokens" in warning


def test_classify_explain_and_complete_are_those_of_the_model(pipe):
    assert pipe.classify(TEXTS, top_k=None) == pipe.model.classify(TEXTS, pipe.tokenizer, top_k=None)
    expected = pipe.model.explain(TEXTS, pipe.tokenizer, num_samples=2, generator=1)
    assert pipe.explain(TEXTS, num_samples=2, generator=1).symbols == expected.symbols
    gaps = ["a <mask> c", "<span> h"]
    completions = pipe.model.complete_texts(gaps, pipe.tokenizer, generator=1)
    assert pipe.complete(gaps, generator=1) == completions
    (one,) = pipe.model.complete_texts(gaps[:1], pipe.tokenizer, num_return_sequences=2, generator=1)
    assert pipe.complete(gaps[0], num_return_sequences=2, generator=1) == one


def test_neighbours_are_the_nearest_latents(pipe):
    latents = pipe.latents(TEXTS)
    distances = np.linalg.norm(latents - latents[2], axis=1)
    found = pipe.neighbours("e f g h a", TEXTS, 3)
    assert [one.index for one in found] == np.argsort(distances)[:3].tolist() and found[0].text == "e f g h a"
    assert [one.distance for one in found] == pytest.approx(np.sort(distances)[:3].tolist(), abs=1e-4)
    for latent in (latents[2], torch.from_numpy(latents[2])):
        assert pipe.neighbours(latent, TEXTS, 3, latents=latents)[1].text == found[1].text
    assert len(pipe.neighbours("d", TEXTS, 50)) == 5


def test_path_goes_from_one_text_to_the_other(pipe):
    steps = pipe.interpolate("a b c", "h g", 5)
    assert [step.share for step in steps] == [0, 0.25, 0.5, 0.75, 1]
    ends = pipe.model.reconstruction_latents(**batch_of(pipe, ["a b c", "h g"])).detach().numpy()
    np.testing.assert_allclose([steps[0].latent, steps[-1].latent], ends, atol=1e-5)
    np.testing.assert_allclose(steps[1].latent, 0.75 * ends[0] + 0.25 * ends[1], atol=1e-5)
    assert [step.text for step in steps] == pipe.decode(np.stack([step.latent for step in steps]))
    assert steps[0].text == pipe.read("a b c").reconstruction
    assert [step.symbol for step in steps] == [one["label"] for one in pipe.classify([step.text for step in steps])]


def test_decoded_latents_are_the_likeliest_texts_even_where_the_model_samples(pipe):
    latents = pipe.latents(TEXTS)
    expected = strings(pipe, pipe.model.generate(latents=torch.from_numpy(latents), suppress_tokens=[1]))
    assert len(set(expected)) > 1
    sampling = pipeline_of()
    sampling.model.generation_config.do_sample = True
    assert sampling.decode(latents) == pipe.decode(torch.from_numpy(latents)) == expected
    read = pipe.decode_and_read(latents)
    assert [one.text for one in read] == expected and {one.requested for one in read} == {None}
    assert [one.read for one in read] == [found["label"] for found in pipe.classify(expected)]


# -------------------------------------------------------------------------------------------------------- other models


def test_prior_without_symbols():
    pipe = pipeline_of("vae", id2label={0: "x"})
    assert pipe.read("a b").probabilities is None
    assert {(one.requested, one.read, one.probability) for one in pipe.write_and_read(num_texts=2)} == {(None,) * 3}
    assert pipe.interpolate("a", "b", 2)[0].symbol is None
    with pytest.raises(ValueError, match="has no symbols"):
        pipe.write("good")


def test_dialogues():
    tokenizer = build_tokenizer(["<d> a b c d e f g h"], max_length=12)
    model = tiny_model(vocab_size=len(tokenizer), context_size=6, context_hidden_size=5, context_turns=3)
    pipe = LDEBMPipeline(model, tokenizer, device="cpu")
    expected = model.respond(["a b", "c"], tokenizer, one_per_symbol=True, generator=1)
    assert pipe.respond(["a b", "c"], one_per_symbol=True, generator=1) == expected
    with pytest.raises(ValueError, match="a model with contexts writes responses: use respond"):
        pipe.write("good")


def test_documents():
    texts = ["red apples and bread", "green trees in the wood", "bread and apples"] * 3
    tokenizer = build_document_tokenizer(texts)
    names = {0: "food", 1: "forest"}
    config = LDEBMConfig.from_preset(
        "consistent", modality="document", vocab_size=len(tokenizer), id2label=names, document_hidden_size=8,
        latent_size=4, energy_hidden_size=8, energy_num_blocks=1,
    )  # fmt: skip
    torch.manual_seed(0)
    pipe = LDEBMPipeline(LDEBMModel(config).eval(), tokenizer, device="cpu")
    ids = pipe.model.generate(class_labels=[1, 1], max_new_tokens=3, generator=1)
    assert pipe.write("forest", 2, max_new_tokens=3, generator=1) == tokenizer.batch_decode(ids)
    assert set(pipe.classify(texts[:1])[0]) == {"label", "score"}
    assert pipe.latents(texts).shape == (9, 4)
    reading = pipe.read(texts[0])
    ids = pipe.model.generate(latents=torch.from_numpy(reading.latent[None]), max_new_tokens=5)
    words = tokenizer.get_vocab().keys() - {"<unk>", *tokenizer.all_special_tokens}
    assert set(reading.reconstruction.split()) == words, "fewer than those usually written"
    assert reading.reconstruction.startswith(tokenizer.decode(ids[0]))
    with pytest.raises(ValueError, match="prompt must be empty for a model of documents"):
        pipe.write("forest", prompt="trees")


def test_models_of_points_are_refused(tmp_path):
    model = LDEBMModel(LDEBMConfig.from_preset("vae", modality="point", latent_size=2, point_hidden_size=4))
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model must be one of texts or documents, got one of points"):
        LDEBMPipeline(model)
    with pytest.raises(ValueError, match="model must be one of texts or documents, got one of points"):
        LDEBMPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("request_of", "said"),
    [
        (lambda pipe: pipe.write("weather"), "symbols must be in 0..2 or one of 'good'"),
        (lambda pipe: pipe.write("good", 0), "num_texts must be at least 1, got 0"),
        (lambda pipe: pipe.write("good", batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda pipe: pipe.write(guidance_scale=2.0), "guidance_scale needs class_labels"),
        (lambda pipe: pipe.write(min_label_probability=0.5), "min_label_probability needs class_labels"),
        (lambda pipe: pipe.latents([]), "texts must be strings, at least one, got"),
        (lambda pipe: pipe.read(["a", 3]), r"texts\[1\] must be a string, got 3"),
        (lambda pipe: pipe.latents("a", batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda pipe: pipe.neighbours("a", TEXTS, 0), "num_neighbours must be at least 1, got 0"),
        (lambda pipe: pipe.neighbours("a", TEXTS, latents=np.zeros((2, 4))), "one for each of the 5 texts, got 2"),
        (lambda pipe: pipe.interpolate("a", "b", 1), "num_steps must be at least 2, got 1"),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(pipe, request_of, said):
    with pytest.raises(ValueError, match=said):
        request_of(pipe)


# --------------------------------------------------------------------------------------------------- files and devices


def test_saved_pipeline_loads_in_another_precision(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    loaded = LDEBMPipeline.from_pretrained(tmp_path, device="cpu")
    assert loaded.write("good", 2, generator=1) == pipe.write("good", 2, generator=1)
    half = LDEBMPipeline.from_pretrained(tmp_path, device="cpu", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16 and half.latents("a b").dtype == np.float32
    np.testing.assert_allclose(half.latents(TEXTS), pipe.latents(TEXTS), atol=0.2)
    assert half.read("a b").probabilities == pytest.approx(pipe.read("a b").probabilities, abs=0.05)
    assert len(half.interpolate("a", "b", 3)) == 3


def test_tokenizer_of_the_checkpoint_is_the_default(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    own = LDEBMPipeline(LDEBMModel.from_pretrained(tmp_path), device="cpu")
    assert own.tokenizer.get_vocab() == pipe.tokenizer.get_vocab()
    with pytest.raises(ValueError, match="tokenizer must be given for a model that was not loaded"):
        LDEBMPipeline(tiny_model())


def test_tokenizer_in_a_subfolder_is_the_default_for_a_model_from_there(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "models" / "reviews")
    model = LDEBMModel.from_pretrained(tmp_path / "models", subfolder="reviews")
    assert LDEBMPipeline(model, device="cpu").classify(TEXTS) == pipe.classify(TEXTS)
    assert model.classify(TEXTS) == pipe.classify(TEXTS)
    (tmp_path / "models" / "reviews" / "tokenizer.json").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="tokenizer.json is empty"):
        LDEBMPipeline(model, device="cpu")


def test_pretrained_encoder_reads_with_the_tokenizer_of_the_pipeline():
    config = LDEBMConfig.from_preset("consistent", **pretrained_settings(bert()))
    model = LDEBMModel(config)
    model.load_base_models()
    (found,) = LDEBMPipeline(model, word_tokenizer(), device="cpu").classify(["great coffee"])
    assert found["label"] in config.label2id


def test_model_is_moved_and_put_into_evaluation_mode(pipe):
    model = tiny_model(vocab_size=len(pipe.tokenizer)).train()
    moved = LDEBMPipeline(model, pipe.tokenizer, device="cpu").to("meta")
    assert not model.training
    assert moved.device == model.device == torch.device("meta")
