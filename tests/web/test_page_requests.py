"""Requests of the page to tiny models: answers, the errors for what is refused, and that requests are independent."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny_base_models import TEXTS as BASE_TEXTS
from tiny_base_models import gpt2, pretrained_model
from tiny_models import tiny_model
from untrained import SIZES as TINY_SIZES

from ldebm_hf import LDEBMConfig, LDEBMModel, LDEBMPipeline, build_subword_tokenizer, build_tokenizer
from ldebm_hf.training.settings import DataSettings, Settings
from ldebm_hf.web.latent_pool import POOL_SIZE, LatentPool
from ldebm_hf.web.limits import BadRequest, Limits
from ldebm_hf.web.page_requests import PageRequests

OBJECTS = ("red fruit", "bread")
TEXTS = [f"{who} {does} {what}" for who in ("we", "you", "they") for does in ("like", "eat") for what in OBJECTS]
SIZES = TINY_SIZES | {"uniform_init_range": None}
NAMES = {0: "food", 1: "LABEL_1", 2: "LABEL_2"}


def requests_to(preset="consistent", vocabulary=TEXTS, **settings) -> PageRequests:
    tokenizer = build_tokenizer(vocabulary)
    torch.manual_seed(1)
    labels = {"id2label": NAMES} if preset not in ("vae", "rnn_lm") else {}
    sizes = SIZES | {"vocab_size": len(tokenizer)} | labels | settings
    if preset == "rnn_lm":
        sizes = {name: value for name, value in sizes.items() if "latent" not in name and "energy" not in name}
    model = LDEBMModel(LDEBMConfig.from_preset(preset, **sizes)).eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(6)  # texts get different latents
    return PageRequests(LDEBMPipeline(model, tokenizer, device="cpu"), TEXTS)


@pytest.fixture(scope="module")
def requests():
    return requests_to()


def decoded(requests, latents) -> list[str]:
    unknown = [requests.model.config.unk_token_id]
    ids = requests.model.generate(latents=latents, suppress_tokens=unknown)
    return requests.pipe.tokenizer.batch_decode(ids, skip_special_tokens=True)


def test_symbols_that_are_called_by_numbers_are_asked_for_by_name():
    requests = requests_to(id2label={0: "1", 1: "2", 2: "3"})
    written = requests.write(["2"], num_sentences=2, seed=5)
    assert {one.requested for one in written} == {"2"}
    pool = requests.pool.get(1)
    assert [one.text for one in written] == decoded(requests, pool.states[-1, pool.order(5)[:2]])
    assert len(requests.write(["2"], num_sentences=2, min_label_probability=0.1)) == 2
    assert requests.reverse_diffusion(["2"], num_latents=2).symbols.tolist() == [1, 1]
    assert requests.complete("we <mask> bread", symbol="2", num_completions=1)


def test_written_texts_are_those_of_latents_of_the_prior(requests):
    written = requests.write(["food"], num_sentences=3, guidance_scale=2.0, seed=5)
    latents = requests.model.sample_latents(POOL_SIZE, class_labels=0, guidance_scale=2.0, generator=0)
    order = requests.pool.get(0, 2.0).order(5)
    assert [one.text for one in written] == decoded(requests, latents[order[:3]])
    assert {one.requested for one in written} == {"food"}
    batch = requests.pipe.tokenizer([written[0].text], return_tensors="pt")
    share, symbol = requests.model.infer_symbols(**batch)[0].max(-1)
    assert written[0].read == requests.names[int(symbol)]
    assert written[0].probability == pytest.approx(float(share), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_sentences_in_which_the_model_reads_another_symbol_are_replaced(requests, temperature):
    name = requests.names[2]
    options = {"temperature": temperature, "min_label_probability": 0.4}
    written = requests.write([name], 6, **options)

    def is_accepted(one):
        batch = requests.pipe.tokenizer([one.text], return_tensors="pt")
        return float(requests.model.infer_symbols(**batch)[0, 2]) >= 0.4

    num_accepted = sum(map(is_accepted, written))
    without = sum(map(is_accepted, requests.write([name], 6, temperature=temperature)))
    assert num_accepted > without or num_accepted == 6
    assert [is_accepted(one) for one in written] == [True] * num_accepted + [False] * (6 - num_accepted)
    assert written == requests.write([name], 6, **options)
    assert [one.is_accepted for one in written] == [True] * num_accepted + [False] * (6 - num_accepted)
    assert sum(one.num_candidates for one in written) >= 6 and min(one.num_candidates for one in written) >= 1
    assert len(requests.write([], 2, min_label_probability=0.9)) == 2, "no symbol is requested"


def test_several_symbols_and_none(requests):
    names = list(requests.names.values())
    assert [one.requested for one in requests.write(names[:2], 2)] == [names[0]] * 2 + [names[1]] * 2
    assert [one.requested for one in requests.write([], 2, temperature=1.0)] == [None, None]


def test_seed_decides(requests):
    def draw(seed):
        return requests.write([], 6, temperature=1.5, seed=seed)

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_reading_finds_the_text_itself_and_sums_to_one(requests):
    found = requests.read("  they eat\nbread ")
    assert sum(found.reading.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert found.nearby[0].text == "they eat bread"
    assert found.nearby[0].distance == pytest.approx(0, abs=1e-4)
    nearest = requests.map.texts.index(found.nearby[1].text)
    assert found.nearby[1].symbol == requests.names[requests.map.symbols[nearest]]
    assert found.place == pytest.approx(requests.map.places[TEXTS.index("they eat bread")], abs=1e-4)
    assert found.notes == []


def test_notes_name_what_is_not_read(requests):
    notes = requests.read("we like quarks " + "bread " * 60).notes
    assert notes[0] == "The model does not know 1 of the 63 words: quarks."
    assert notes[1].startswith("Only the first 38 of the 63 words")


def test_notes_on_texts_to_complete_and_on_ends_of_a_path(requests):
    assert requests.notes("we like red quarks") == ["The model does not know 1 of the 4 words: quarks."]
    masked = requests.notes("we <mask> quarks <span> zebras", with_masks=True)
    assert masked == ["The model does not know 2 of the 3 words: quarks, zebras."]
    assert requests.notes("we <mask> bread", with_masks=True) == []
    for refused in ("", None, "we <s> bread", "a" * 401):
        assert requests.notes(refused) == []
    assert requests.notes("bread " * 39 + "<mask>", with_masks=True) == [], "which is refused"
    with pytest.raises(BadRequest, match="at most 38 words, but it has 40"):
        requests.complete("bread " * 39 + "<mask>")


def test_notes_on_subwords_count_pieces():
    tokenizer = build_subword_tokenizer(TEXTS, 400, max_length=8)
    pipe = LDEBMPipeline(tiny_model(vocab_size=len(tokenizer)), tokenizer, device="cpu")
    of_subwords = PageRequests(pipe, TEXTS)
    assert of_subwords.notes("we eat bread") == []
    number = len(tokenizer("quarks and zebras", add_special_tokens=False)["input_ids"])
    note = f"Only the first 6 of the {number} pieces of words are read."
    assert of_subwords.notes("quarks and zebras") == [note] == of_subwords.read("quarks and zebras").notes


def test_decoding_at_a_place_and_between_texts(requests):
    x, y = requests.map.places[0]
    found = requests.decode_at(float(x), float(y))
    latent = torch.tensor(requests.map.latent_at(x, y)[None], dtype=torch.float32)
    ids = requests.model.generate(latents=latent, suppress_tokens=[requests.model.config.unk_token_id])
    assert found.text == requests.pipe.tokenizer.batch_decode(ids, skip_special_tokens=True)[0]
    low, high = requests.map.limits
    for corner in (low, high):  # as a page rounds them
        requests.decode_at(*(float(np.sign(value) * np.ceil(abs(value) * 1000) / 1000) for value in corner))
    path = requests.interpolate(TEXTS[0], TEXTS[-1], 5)
    assert path.steps == requests.pipe.interpolate(TEXTS[0], TEXTS[-1], 5)
    assert path.steps[0].text == requests.read(TEXTS[0]).reading.reconstruction
    middle = np.mean([path.places[0], path.places[-1]], axis=0)
    assert path.places[2] == pytest.approx(middle.tolist(), abs=1e-5)


def test_reverse_diffusion_is_the_models_trajectory(requests):
    found = requests.reverse_diffusion(["food"], num_latents=3, guidance_scale=1.0, seed=2)
    drawn = {"class_labels": 0, "guidance_scale": 1.0, "generator": 0, "return_trajectory": True}
    states = requests.model.sample_latents(POOL_SIZE, **drawn).trajectory
    states = states[:, requests.pool.get(0, 1.0).order(2)[:3]]
    assert found.places.shape == (requests.model.config.num_levels + 1, 3, 2)
    np.testing.assert_allclose(found.places[-1], requests.map.plane.project(states[-1].numpy()), atol=1e-5)
    assert [len(texts) for texts in found.texts] == [1] * len(states)
    assert found.texts[-1] == decoded(requests, states[-1, :1])


def test_latents_are_drawn_once_for_all_requests_and_discarded_in_turn(requests, monkeypatch):
    drawn = []
    sample = requests.model.sample_latents
    monkeypatch.setattr(
        requests.model, "sample_latents", lambda **options: drawn.append(0) or sample(**options), raising=False
    )
    pool = LatentPool(requests.pipe, size=8, most_pools=2)
    first = pool.get(0, 1.0)
    assert pool.get(0, 1.0) is first and len(drawn) == 1
    pool.get(1, 1.0), pool.get(2, 1.0)
    assert pool.get(0, 1.0) is not first, "which was discarded"
    assert torch.equal(pool.get(0, 1.0).states, first.states), "and is drawn as before"


def test_completions_keep_what_is_there(requests):
    found = requests.complete("we <mask> bread", num_completions=2)
    assert len(found) == 2
    assert all(one.words[0] == "we" and one.words[-1] == "bread" for one in found)


def test_fewer_completions_than_asked_for_are_no_error(requests):
    texts = {one.text for one in requests_to(vocabulary=["we eat"]).complete("we <mask>", num_completions=5)}
    assert texts == {"we we", "we eat"}


@pytest.fixture
def encoded(requests, monkeypatch) -> list[int]:
    """The number of texts in each call of the encoder."""
    sizes = []
    forward = requests.model.encoder.forward
    monkeypatch.setattr(
        requests.model.encoder, "forward", lambda ids, *others: sizes.append(len(ids)) or forward(ids, *others)
    )
    return sizes


def test_a_request_encodes_each_text_once(requests, encoded, monkeypatch):
    def calls(request_of):
        encoded.clear()
        request_of()
        return list(encoded)

    assert calls(lambda: requests.write(["food"], 3, seed=77)) == [3], "what was written"
    assert calls(lambda: requests.write(["food"], 3, seed=77)) == [], "the likeliest words are known"
    assert calls(lambda: requests.read("they eat bread")) == [1]
    assert calls(lambda: requests.decode_at(0, 0)) == [1], "what was decoded"
    assert calls(lambda: requests.interpolate(TEXTS[0], TEXTS[-1], 5)) == [2, 5], "both ends, then what was decoded"
    assert calls(lambda: requests.reverse_diffusion(["food"], 3)) == []
    generated = []
    generate = requests.model.generate
    monkeypatch.setattr(requests.model, "generate", lambda **options: generated.append(0) or generate(**options))
    written = calls(lambda: requests.write([requests.names[2]], 6, temperature=1.5, min_label_probability=0.4))
    assert len(written) == len(generated) > 1 and written[0] == 6, "every attempt is read once"
    assert sorted(written, reverse=True) == written
    one, other = (calls(lambda number=number: requests.complete("we <mask> bread", num_completions=number))
                  for number in (1, 5))  # fmt: skip
    assert len(one) == len(other) == 3, "the text, a drawn filling of every chain, what is returned"


@pytest.mark.parametrize(
    ("request_of", "said"),
    [
        (lambda e: e.write(["weather"]), "There is no symbol called weather. Symbols: food"),
        (lambda e: e.write(["food"], 21), "number of sentences must be a whole number from 1 to 20, but it is 21"),
        (lambda e: e.write([], 2.5), "whole number from 1 to 20, but it is 2.5"),
        (lambda e: e.write([], None), "whole number from 1 to 20, but it is empty"),
        (lambda e: e.write(["food"], 2, min_label_probability=1.5), "minimum probability must be a number"),
        (lambda e: e.write([], 2, temperature=math.nan), "temperature must be a number from 0 to 2, but it is nan"),
        (lambda e: e.write(["food"], 2, guidance_scale=99), "guidance must be a number from 0 to 20"),
        (lambda e: e.write([], 2, seed=-1), "seed must be a whole number from 0"),
        (lambda e: e.read("  "), "Please write something: the text is empty"),
        (lambda e: e.read(None), "Please write something"),
        (lambda e: e.read("a" * 401), "may have at most 400 characters, but it has 401"),
        (lambda e: e.read("we <s> bread"), "must not contain <s>, which the model uses itself"),
        (lambda e: e.decode_at(1e6, 0), "x must be a number from"),
        (lambda e: e.decode_at("here", 0), "x must be a number from .*, but it is 'here'"),
        (lambda e: e.interpolate("we", "", 5), "the second text is empty"),
        (lambda e: e.interpolate("we", "you", 50), "number of steps must be a whole number from 3 to 12"),
        (lambda e: e.complete("we like bread"), "Write <mask> for one missing word .* this text has none"),
        (lambda e: e.complete("we " + "<mask> " * 9), "at most 8 in total; this text has 9"),
        (lambda e: e.complete("bread " * 39 + "<mask>"), "may have at most 38 words"),
    ],
)
def test_bad_requests_are_refused_in_a_sentence(requests, request_of, said):
    with pytest.raises(BadRequest, match=said):
        request_of(requests)


def test_too_many_symbols(requests):
    strict = PageRequests(requests.pipe, TEXTS, limits=Limits(symbols=1))
    with pytest.raises(BadRequest, match="choose at most 1 symbols; 2 are chosen"):
        strict.write(list(strict.names.values())[:2])


def test_unnamed_symbols_get_the_names_of_their_words(requests):
    used = set(requests.map.symbols.tolist())
    for symbol, name in requests.names.items():
        assert name.startswith("LABEL_") == (symbol not in used and symbol != 0)
        assert name == "food" or name.startswith("LABEL_") or name in requests.write([name], 1)[0].requested


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"label_guidance": 3.0}, 3.0),
        ({"label_guidance": None, "energy_temperature": "unit"}, 1.0),
        ({"label_guidance": 500.0}, 20.0),
    ],
)
def test_default_guidance_is_the_models(settings, expected):
    assert requests_to(**settings).default_guidance == pytest.approx(expected)


def test_threads_get_what_each_would_get_alone(requests):
    alone = [requests.write([], 4, temperature=1.0, seed=seed) for seed in range(12)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda seed: requests.write([], 4, temperature=1.0, seed=seed), range(12)))
    assert together == alone


def test_places_that_are_decoded_together_give_the_texts_of_each_alone(requests, encoded):
    places = [tuple(map(float, place)) for place in requests.map.places]
    alone = [requests.decode_at(*place) for place in places]
    readings = [requests.read(text).reading for text in TEXTS]
    encoded.clear()
    with ThreadPoolExecutor(len(places)) as pool:
        assert list(pool.map(lambda place: requests.decode_at(*place), places)) == alone
        together = list(pool.map(lambda text: requests.read(text).reading, TEXTS))
    assert [one.reconstruction for one in together] == [one.reconstruction for one in readings]
    for one, other in zip(together, readings, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_prior_without_symbols_or_levels():
    requests = requests_to("vae")
    assert not requests.has_symbols and not requests.has_levels
    assert requests.read(TEXTS[0]).reading.probabilities is None
    assert requests.decode_at(0, 0).symbol is None
    with pytest.raises(BadRequest, match="no symbols to write for"):
        requests.write(["food"])
    with pytest.raises(BadRequest, match="sampled in one step"):
        requests.reverse_diffusion()


def test_language_model_writes_and_completes_alone():
    requests = requests_to("rnn_lm")
    assert len(requests.write([], 2)) == 2
    assert len(requests.complete("we <mask> bread", num_completions=1)) == 1
    for request_of in (lambda: requests.read("we"), lambda: requests.decode_at(0, 0), requests.reverse_diffusion):
        with pytest.raises(BadRequest, match="without a latent"):
            request_of()


def test_checkpoint_with_a_pretrained_decoder_is_shown_like_any_other(tmp_path):
    model, tokenizer = pretrained_model(decoder=gpt2(), num_symbols=3)
    LDEBMPipeline(model.eval(), tokenizer, device="cpu").save_pretrained(tmp_path / "fluent")
    (tmp_path / "fluent" / "texts.txt").write_text("\n".join(BASE_TEXTS), encoding="utf-8")
    requests = PageRequests.from_checkpoint(tmp_path / "fluent")
    name = next(iter(requests.names.values()))
    for temperature in (0.0, 0.8):
        assert [one.requested for one in requests.write([name], 2, temperature=temperature)] == [name] * 2
    text = requests.map.texts[0]
    assert requests.read(text).nearby[0].text == text
    assert len(requests.interpolate(text, requests.map.texts[1], 3).steps) == 3
    assert requests.reverse_diffusion([name], 2).places.shape[1] == 2
    assert requests.decode_at(0, 0).text is not None


def saved(requests, folder) -> str:
    requests.pipe.save_pretrained(folder)
    return str(folder)


def test_checkpoint_brings_its_texts_or_writes_some(requests, tmp_path):
    checkpoint = saved(requests, tmp_path / "model")
    own = PageRequests.from_checkpoint(checkpoint, num_texts=7)
    assert own.origin == "texts that the model wrote itself" and len(own.map.texts) == 7
    (tmp_path / "model" / "texts.txt").write_text("we eat bread\n\nyou like bread\n", encoding="utf-8")
    given = PageRequests.from_checkpoint(checkpoint)
    assert given.map.texts == ["we eat bread", "you like bread"]
    assert given.origin == "texts that come with the checkpoint" and given.examples == given.map.texts
    (tmp_path / "model" / "texts.txt").rename(tmp_path / "model" / "written.txt")
    (tmp_path / "model" / "examples.txt").write_text("they like red fruit\n", encoding="utf-8")
    written = PageRequests.from_checkpoint(checkpoint)
    assert written.map.texts == given.map.texts and written.origin == "texts that the model wrote itself"
    assert written.examples == ["they like red fruit"]


def test_map_shows_no_file_that_only_the_checkpoint_names(requests, tmp_path, caplog):
    checkpoint = saved(requests, tmp_path / "model")
    secret = tmp_path / "secret.txt"
    secret.write_text("".join(f"we like secret {i}\n" for i in range(30)), encoding="utf-8")
    Settings(data=DataSettings(source=str(secret))).save(tmp_path / "model" / "settings.yaml")
    refused = PageRequests.from_checkpoint(checkpoint, num_texts=5)
    assert refused.origin == "texts that the model wrote itself" and "secret" not in " ".join(refused.map.texts)
    assert "a file that is named by a model is read only if you name it too" in caplog.text
    given = PageRequests.from_checkpoint(checkpoint, num_texts=5, data=str(secret))
    assert given.origin == "training texts of secret.txt" and "secret" in given.map.texts[0]
    (tmp_path / "model" / "texts.txt").symlink_to(secret)
    with pytest.raises(ValueError, match="must be a file of the checkpoint, but it is a link to .*secret.txt"):
        PageRequests.from_checkpoint(checkpoint)


def test_no_checkpoint_and_one_of_points(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        PageRequests.from_checkpoint(tmp_path / "nothing")
    config = LDEBMConfig.from_preset("vae", modality="point", latent_size=2, point_hidden_size=4)
    LDEBMModel(config).save_pretrained(tmp_path / "points")
    with pytest.raises(ValueError, match="points must be a model of texts without contexts, got one of points"):
        PageRequests.from_checkpoint(tmp_path / "points")
    in_contexts = tiny_model(context_size=6, context_hidden_size=5, context_turns=3)
    pipe = LDEBMPipeline(in_contexts, build_tokenizer(TEXTS), device="cpu")
    with pytest.raises(ValueError, match="pipe must be .* without contexts, got one of texts in contexts"):
        PageRequests(pipe, ["a", "b"])
