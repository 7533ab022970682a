"""Models of documents: likelihood against dense formulas, background, generated words, saved folders."""

import pytest
import torch
from tiny_models import TINY_SIZES, seeded
from torch import nn
from torch.distributions import Multinomial

from ldebm_hf import LDEBMConfig, LDEBMModel, build_document_tokenizer
from ldebm_hf.model.document_modality import LOG_NOTHING, OffsetBatchNorm, WordSum

VOCABULARY = 12
# A begin mark, words with repeats, an unknown word, an end mark, padding; the last document has no word at all.
IDS = torch.tensor([[2, 5, 5, 9, 1, 3, 0], [2, 11, 4, 3, 0, 0, 0], [2, 1, 3, 0, 0, 0, 0]])
COUNTS = torch.zeros(3, VOCABULARY)
COUNTS[0, 5], COUNTS[0, 9], COUNTS[1, 11], COUNTS[1, 4] = 2, 1, 1, 1


def build(preset="consistent", **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {"modality": "document", "document_hidden_size": 16, **TINY_SIZES}
    return LDEBMModel(LDEBMConfig.from_preset(preset, **{**sizes, **settings})).eval()


def dense_log_likelihood(model, latents) -> torch.Tensor:
    return (COUNTS * model.decoder(latents).log_softmax(-1)).sum(-1)


def test_sum_of_word_vectors_is_a_linear_map_of_counts():
    words = WordSum(VOCABULARY, 6)
    linear = nn.Linear(VOCABULARY, 6)
    linear.weight.data, linear.bias.data = words.weight.data.T, words.bias.data
    is_word = (IDS > 3).long()
    torch.testing.assert_close(words(IDS, is_word), linear(COUNTS))
    for output in (words(IDS, is_word), linear(COUNTS)):
        (output**2).sum().backward()
    torch.testing.assert_close(words.weight.grad, linear.weight.grad.T)
    torch.testing.assert_close(words.bias.grad, linear.bias.grad)


def test_encoder_is_the_published_perceptron_of_counts():
    model = build(document_encoder_layers=3)
    encoder = model.encoder
    hidden = (COUNTS @ encoder.words.weight + encoder.words.bias).relu()
    for layer in encoder.network:
        if isinstance(layer, nn.Linear):
            hidden = layer(hidden).relu()
    torch.testing.assert_close(model.encode(IDS).posterior_mean, encoder.heads.mean(hidden))


@pytest.mark.parametrize("document_batch_norm", [True, False])
@torch.no_grad()
def test_likelihood_is_that_of_the_dense_multinomial(document_batch_norm):
    model = build(document_batch_norm=document_batch_norm)
    model.decoder.set_background(torch.arange(VOCABULARY))
    latents = torch.randn(3, 4, generator=seeded())
    log_likelihood = model.conditional_log_likelihood(latents, IDS)
    torch.testing.assert_close(log_likelihood, dense_log_likelihood(model, latents))
    assert log_likelihood[2] == 0, "a document without a known word"
    orders = torch.tensor([3.0, 2.0]).log()  # 3!/2! and 2!
    multinomial = [
        Multinomial(int(counts.sum()), logits=logits).log_prob(counts)
        for counts, logits in zip(COUNTS[:2], model.decoder(latents), strict=False)
    ]
    torch.testing.assert_close(log_likelihood[:2] + orders, torch.stack(multinomial))


def test_loss_is_minus_the_likelihood_at_the_latents_drawn():
    model = build("vae")
    output = model(IDS, generator=seeded())
    expected = -dense_log_likelihood(model, output.latents).mean()
    torch.testing.assert_close(output.reconstruction_loss, expected)
    assert output.logits.shape == (3, VOCABULARY)
    assert model(IDS, skip_logits=True).logits is None


@torch.no_grad()
def test_order_marks_and_masked_words_do_not_matter():
    model = build()
    expected = model.encode(IDS).posterior_mean
    shuffled = torch.tensor([[9, 5, 1, 5], [4, 1, 3, 11], [1, 1, 1, 1]])
    torch.testing.assert_close(model.encode(shuffled).posterior_mean, expected)
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    masked = model.encode(torch.tensor([[5, 9, 11], [6, 5, 9]]), mask).posterior_mean
    assert torch.equal(masked[0], masked[1])
    repeated = model.encode(torch.tensor([[5, 9, 9]])).posterior_mean
    assert not torch.allclose(repeated, masked[:1]), "repeats count"


def test_background_is_log_frequency_and_words_only():
    model = build()
    counts = torch.arange(VOCABULARY)
    assert model.decoder.background[:4].tolist() == pytest.approx([LOG_NOTHING] * 4)
    assert model.decoder.background[4:].unique().numel() == 1
    counts[7] = 0
    model.decoder.set_background(counts)
    total = counts[4:].sum()
    expected = (counts[4:] / total).log().clamp(min=LOG_NOTHING)
    torch.testing.assert_close(model.decoder.background[4:], expected)
    nn.init.zeros_(model.decoder.layers[-1].weight)
    nn.init.zeros_(model.decoder.layers[-1].bias)
    probability = model.decoder(torch.randn(2, 4)).softmax(-1)
    torch.testing.assert_close(probability[:, 4:], (counts[4:] / total).expand(2, -1), atol=1e-6, rtol=0)
    for wrong, message in ((torch.ones(3), "12 counts of at least 0"), (torch.eye(VOCABULARY)[1], "none above 0")):
        with pytest.raises(ValueError, match=message):
            model.decoder.set_background(wrong)


def test_batch_norm_is_torchs_without_a_scale():
    own, torchs = OffsetBatchNorm(5, 0.1), nn.BatchNorm1d(5, eps=1e-3, momentum=0.1)
    features = 3 * torch.randn(8, 5, generator=seeded()) + 1
    torch.testing.assert_close(own(features), torchs(features))
    assert own.running_mean.abs().min() > 0
    own.eval(), torchs.eval()
    torch.testing.assert_close(own(features), torchs(features))
    before = own.running_mean.clone()
    own.train()(features[:1])
    assert torch.equal(own.running_mean, before), "a batch of one has no variance"


def test_word_dropout_leaves_words_out_in_training():
    model = build(word_dropout=0.4, document_dropout=0.0)
    seen = []
    model.encoder.words.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[1]))
    ids = torch.full((400, 10), 5)
    torch.manual_seed(0)
    model.train().encode(ids)
    model.eval().encode(ids)
    assert seen[0].mean().item() == pytest.approx(0.6, abs=5 * (0.24 / 4000) ** 0.5) and seen[1].min() == 1


@pytest.mark.parametrize("preset", ["consistent", "published", "svebm_ib", "vae", "gm_vae_i", "di_vae", "semi_vae"])
def test_every_prior_trains_and_writes_documents(preset):
    model = build(preset, num_symbols=4, id2label={i: f"c{i}" for i in range(4)}).train()
    labels = torch.tensor([0, -100, 3]) if model.config.has_symbols else None
    output = model(IDS, class_labels=labels, generator=seeded())
    output.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    kinds = {"class_labels": "c1"} if model.config.has_symbols else {}
    words = model.generate(num_samples=5, max_new_tokens=6, do_sample=True, generator=seeded(), **kinds)
    assert words.shape == (5, 6) and words.min() >= 4
    assert torch.equal(
        words, model.generate(num_samples=5, max_new_tokens=6, do_sample=True, generator=seeded(), **kinds)
    )


@torch.no_grad()
def test_written_are_the_likeliest_words_or_draws():
    model = build("vae")
    latents = torch.randn(1, 4, generator=seeded())
    probability = model.decoder(latents)[0].softmax(-1)
    probability[:4] = 0
    likeliest = model.generate(latents=latents, max_new_tokens=8)
    assert likeliest[0].tolist() == probability.argsort(descending=True)[:8].tolist()
    n = 20_000
    drawn = model.generate(latents=latents, max_new_tokens=8, do_sample=True, generator=seeded())
    assert drawn.shape == (1, 8)
    many = model.generate(latents=latents.expand(n // 8, 4), max_new_tokens=8, do_sample=True, generator=seeded())
    shares, expected = many.flatten().bincount(minlength=VOCABULARY) / n, probability / probability.sum()
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt() + 1e-9).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_beams": 3}, "a model of documents decodes no tokens one by one and cannot take num_beams"),
        ({"max_new_tokens": 9}, "max_new_tokens must be 1 to the number of words, 8, got 9"),
    ],
)
def test_generation_options_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build().generate(num_samples=1, **arguments)


def test_arguments_of_other_modalities_are_refused():
    with pytest.raises(ValueError, match="labels is about texts and cannot be given to a model of documents"):
        build()(IDS, labels=IDS)
    with pytest.raises(ValueError, match="attention_mask must have input_ids' shape"):
        build()(IDS, attention_mask=torch.ones_like(IDS[:2]))
    with pytest.raises(ValueError, match="input_ids must be given to a model of documents, got points"):
        build()(points=torch.zeros(2, 2))


@torch.no_grad()
def test_saved_model_and_tokenizer_give_the_same_classes(tmp_path):
    texts = ["oil prices rise", "the team wins again", "prices prices oil team"]
    tokenizer = build_document_tokenizer(texts)
    model = build(vocab_size=len(tokenizer))
    model.decoder.set_background(torch.arange(len(tokenizer)))
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.decoder.background, model.decoder.background)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    assert torch.equal(loaded.infer_symbols(**batch), model.infer_symbols(**batch))
    output, expected = (m(**batch, generator=seeded()).loss for m in (loaded, model))
    assert torch.equal(output, expected)


# ---- the labelled stream's loss


def test_classification_only_is_the_cross_entropy_at_the_means():
    labels = torch.tensor([2, 0, 1])
    for preset in ("published", "svebm_ib", "di_vae"):
        model = build(preset, symbol_levels="first") if preset == "svebm_ib" else build(preset)
        output = model(IDS, class_labels=labels, classification_only=True, generator=seeded())
        logits = model.encode(IDS).symbol_logits
        expected = nn.functional.cross_entropy(logits, labels)
        torch.testing.assert_close(output.classification_loss, expected)
        torch.testing.assert_close(output.loss, model.config.classification_weight * expected)
        assert output.reconstruction_loss is None
        output.loss.backward()
        assert all(parameter.grad is None for parameter in model.decoder.parameters())


def test_classification_only_also_teaches_noisy_levels():
    model = build(symbol_levels="all")
    labels = torch.tensor([2, 0, 1])
    output = model(IDS, class_labels=labels, classification_only=True, generator=seeded())
    at_means = nn.functional.cross_entropy(model.encode(IDS).symbol_logits, labels)
    noisy = model.prior.noisy_symbol_logits(output.latents, seeded(1))
    assert len(noisy) % 3 == 0 and not torch.isclose(output.classification_loss, at_means)


def test_classification_only_needs_symbols_and_labels():
    with pytest.raises(ValueError, match="has no symbols"):
        build("vae")(IDS, class_labels=torch.zeros(3).long(), classification_only=True)
    with pytest.raises(ValueError, match="classification_only needs class_labels"):
        build()(IDS, classification_only=True)
