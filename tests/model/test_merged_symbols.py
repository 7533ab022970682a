"""Merged symbols against what their parts said before: probabilities, densities, gradients, samples; and refusals."""

import copy

import pytest
import torch
from clean_processes import run_clean
from huggingface_hub.errors import StrictDataclassError
from tiny_models import LATENT, seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMForSequenceClassification, LDEBMModel, build_tokenizer
from ldebm_hf.model.energy import EnergyMLP, EnergyNetwork

NAMES = {0: "good", 1: "LABEL_1", 2: "neutral", 3: "LABEL_3", 4: "LABEL_4"}
GROUPS = [[3, 0], [2, 4]]
NEW_IDS = [0, 1, 2, 0, 2]
PRIORS = {
    "diffusion": {},
    "published": {"preset": "published"},
    "single_level": {"num_levels": 1},
    "mlp": {"num_levels": 1, "energy_network": "mlp", "energy_spectral_norm": False},
}
TEXTS = [[2, 4, 5, 3], [2, 6, 3, 0], [2, 7, 8, 3]]


def summed(probabilities: torch.Tensor) -> torch.Tensor:
    """The probabilities of five symbols, added up as `GROUPS` says."""
    return torch.stack([probabilities[:, [0, 3]].sum(1), probabilities[:, 1], probabilities[:, [2, 4]].sum(1)], 1)


def five_symbols(preset="consistent", **settings) -> LDEBMModel:
    model = tiny_model(preset, id2label=dict(NAMES), **settings)
    with torch.no_grad():  # so that symbols differ in their probabilities
        model.prior.energy.head.bias.copy_(torch.tensor([0.3, -0.4, 0.9, 0.1, -1.0]))
    return model


@pytest.fixture(params=PRIORS)
def pair(request) -> tuple[LDEBMModel, LDEBMModel]:
    """A model in double precision before and after its symbols are merged."""
    before = five_symbols(**PRIORS[request.param]).double()
    after = copy.deepcopy(before)
    assert after.merge_symbols(GROUPS) == NEW_IDS
    return before, after


def latents(number=6) -> torch.Tensor:
    return torch.randn(number, LATENT, generator=seeded(), dtype=torch.float64)


def levels_of(model: LDEBMModel):
    """A batch of states of all levels: z̃, z_{t+1} and t."""
    level = torch.arange(6) % model.config.num_levels
    return latents(), torch.randn(6, LATENT, generator=seeded(1), dtype=torch.float64), level


def test_probabilities_add_up_and_the_free_energy_stays(pair):
    before, after = pair
    old, new = before.prior.symbol_logits(latents()), after.prior.symbol_logits(latents())
    assert new.shape == (6, 3)
    torch.testing.assert_close(new.softmax(-1), summed(old.softmax(-1)), rtol=0, atol=1e-14)
    torch.testing.assert_close(new.logsumexp(-1), old.logsumexp(-1), rtol=0, atol=1e-13)
    texts = torch.tensor(TEXTS)
    torch.testing.assert_close(after.infer_symbols(texts), summed(before.infer_symbols(texts)), rtol=0, atol=1e-14)


def test_prior_stays_and_with_a_guidance_of_one_the_merged_density_is_the_mixture(pair):
    before, after = pair
    states = levels_of(before)
    with torch.no_grad():
        torch.testing.assert_close(
            after.prior.log_density(*states), before.prior.log_density(*states), rtol=1e-14, atol=1e-12
        )
        for new, group in enumerate([[0, 3], [1], [2, 4]]):
            parts = [before.prior.log_density(*states, torch.full((6,), old), 1.0) for old in group]
            merged = after.prior.log_density(*states, torch.full((6,), new), 1.0)
            torch.testing.assert_close(merged, torch.stack(parts).logsumexp(0), rtol=1e-14, atol=1e-12)


@pytest.mark.parametrize("labels", [None, torch.arange(6) % 3])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_closed_form_gradient_of_merged_symbols_equals_autograd(pair, labels, scale):
    prior = pair[1].prior
    scaled, _, level = levels_of(pair[1])
    scaled.requires_grad_(True)
    weights = prior._energy_weights(level, labels, scale)
    logits = prior.energy(scaled, level)
    value = weights[0][:, 0] * logits.logsumexp(-1)
    if labels is not None:
        value = value + (weights[1] * logits).sum(-1)
    expected = torch.autograd.grad(value.sum(), scaled)[0]
    frozen = prior.level_energy(level, labels, scale)
    with torch.no_grad():
        torch.testing.assert_close(frozen.value_and_gradient(scaled), (value, expected), rtol=1e-13, atol=1e-12)


def test_latents_without_a_symbol_are_drawn_as_before(pair):
    before, after = (model.sample_latents(4, generator=seeded()) for model in pair)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-9)


def test_latents_of_a_merged_symbol_are_those_of_the_mixture():
    """One level, whose chains reach p(z|y): shares of the parts in it, and moments, against importance weights."""
    model = five_symbols(num_levels=1, langevin_steps=60).double()
    with torch.no_grad():
        model.prior.energy.head.weight.mul_(8)  # symbols that are far from equally likely anywhere
    before = copy.deepcopy(model)
    model.merge_symbols(GROUPS)
    z = torch.randn(200_000, LATENT, generator=seeded(1), dtype=torch.float64)
    with torch.no_grad():
        logits = before.prior.symbol_logits(z)
        weight = logits[:, [0, 3]].logsumexp(-1).softmax(0)  # of p(z) (p(0|z) + p(3|z)), as z are from N(0, I)
        share = (logits.softmax(-1)[:, 0] / logits.softmax(-1)[:, [0, 3]].sum(-1) * weight).sum()
        drawn = model.sample_latents(4000, class_labels="good", guidance_scale=1.0, generator=seeded(2))
        own = before.prior.symbol_logits(drawn).softmax(-1)
    torch.testing.assert_close(drawn.mean(0), (weight[:, None] * z).sum(0), rtol=0, atol=0.06)
    torch.testing.assert_close((own[:, 0] / own[:, [0, 3]].sum(-1)).mean(), share, rtol=0, atol=0.02)


def test_names_follow_and_symbols_can_be_merged_again():
    model = five_symbols()
    assert model.merge_symbols([("LABEL_3", "good")]) == [0, 1, 2, 0, 3]
    assert model.config.id2label == {0: "good", 1: "LABEL_1", 2: "neutral", 3: "LABEL_3"}
    assert model.config.label2id == {"good": 0, "LABEL_1": 1, "neutral": 2, "LABEL_3": 3}
    assert model.config.num_labels == model.config.num_symbols == 4
    before = model.prior.symbol_logits(latents().float())
    assert model.merge_symbols([[3, 1]]) == [0, 1, 2, 1]
    assert model.config.id2label == {0: "good", 1: "LABEL_1", 2: "neutral"}
    assert model.config.symbol_groups == [0, 1, 2, 0, 1]
    model.config.validate()
    after = model.prior.symbol_logits(latents().float())
    torch.testing.assert_close(after[:, 1], before[:, [1, 3]].logsumexp(-1))
    torch.testing.assert_close(after[:, [0, 2]], before[:, [0, 2]])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 5]], "groups must be in 0..4 or one of .*; got 5"),
        ([[0, "nice"]], "got 'nice'"),
        ([[0, 1], [1, 2]], "groups must mention each symbol once, got symbol 1 more than once"),
        ([["good", 0]], "got symbol 0 more than once"),
        ([[0]], r"groups must be a list of lists of two or more symbols, got \[\[0\]\]"),
        ([], "groups must be a list of lists"),
        ([0, 3], "groups must be a list of lists"),
        ("good", "groups must be a list of lists"),
        (["ab"], "groups must be a list of lists"),
        ([[0, 1, 2, 3, 4]], "groups must leave at least two symbols, got one of all 5"),
    ],
)
def test_bad_groups_leave_the_model_as_it_is(groups, message):
    model = five_symbols()
    with pytest.raises(ValueError, match=message):
        model.merge_symbols(groups)
    assert model.config.id2label == NAMES and model.config.symbol_groups is None and model.prior.energy.groups is None


def test_a_default_name_that_another_symbol_has_been_given_is_refused():
    model = five_symbols()
    model.name_symbols({3: "x"})
    model.name_symbols({0: "LABEL_3"})
    with pytest.raises(ValueError, match="names of the merged symbols must be unique"):
        model.merge_symbols([[1, 2]])
    assert model.config.symbol_groups is None


@pytest.mark.parametrize("prior", ["mixture", "discrete", "semi"])
def test_symbols_that_are_codes_are_not_merged(prior):
    model = tiny_model(prior=prior)
    with pytest.raises(ValueError, match=f"symbols of prior='{prior}' cannot be merged: they are values of codes"):
        model.merge_symbols([[0, 1]])
    assert model.config.num_labels == 3
    with pytest.raises(StrictDataclassError, match='symbol_groups must be used with prior="diffusion" only'):
        LDEBMConfig(prior=prior, num_labels=2, symbol_groups=[0, 1, 1])


@pytest.mark.parametrize("groups", [[0, 1], [0, 1, 3], [0, 1, 2, -1], ["0", 1, 2], [0.0, 1, 2], 3, [], [True, 0, 2]])
def test_groups_in_a_configuration_must_be_those_of_its_symbols(groups):
    with pytest.raises(StrictDataclassError, match="symbol_groups"):
        LDEBMConfig(num_labels=3, symbol_groups=groups)


@pytest.mark.parametrize("settings", ["diffusion", "mlp"])
@pytest.mark.parametrize("kind", [LDEBMModel, LDEBMForSequenceClassification])
def test_merged_symbols_are_saved_and_loaded(tmp_path, kind, settings):
    model = five_symbols(**PRIORS[settings])
    model.merge_symbols(GROUPS)
    model.name_symbols({2: "the rest"})
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    assert loaded.config.id2label == {0: "good", 1: "LABEL_1", 2: "the rest"}
    assert loaded.config.symbol_groups == NEW_IDS
    texts = torch.tensor(TEXTS)
    assert torch.equal(loaded.infer_symbols(texts), model.infer_symbols(texts))
    drawn = [one.generate(class_labels="the rest", num_samples=3, generator=seeded()) for one in (loaded, model)]
    assert torch.equal(*drawn)
    with pytest.raises(ValueError, match="num_labels must be 3, the number of symbols named, got 5"):
        kind.from_pretrained(tmp_path, num_labels=5)


def test_merged_symbols_load_without_the_package(tmp_path):
    model = five_symbols()
    model.merge_symbols(GROUPS)
    model.save_pretrained(tmp_path)
    build_tokenizer(["a b c d e f g h"], max_length=8).save_pretrained(tmp_path)
    code = f"""
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, pipeline
texts = torch.tensor({TEXTS})
for kind in (AutoModel, AutoModelForSequenceClassification):
    model = kind.from_pretrained({str(tmp_path)!r}, trust_remote_code=True)
    print(model.infer_symbols(texts).tolist())
print(model.generate(class_labels="good", num_samples=2, generator=0).tolist())
pipe = pipeline("text-classification", {str(tmp_path)!r}, trust_remote_code=True, top_k=None)
print(sorted(one["label"] for one in pipe(["a b"])[0]))
model.merge_symbols([["good", "neutral"]])
print(model.config.id2label)
"""
    *probabilities, written, labels, names = run_clean(code, tmp_path, package=False).splitlines()[-5:]
    for found in probabilities:
        torch.testing.assert_close(torch.tensor(eval(found)), model.infer_symbols(torch.tensor(TEXTS)))
    assert eval(written) == model.generate(class_labels="good", num_samples=2, generator=0).tolist()
    assert eval(labels) == ["LABEL_1", "good", "neutral"] and eval(names) == {0: "good", 1: "LABEL_1"}


def test_merged_symbols_are_learned_by_their_sum():
    """The loss of a merged model and its gradients, by hand from the outputs of the network."""
    model = five_symbols(symbol_levels="first", dropout=0.0).double()
    before = copy.deepcopy(model)
    model.merge_symbols(GROUPS)
    texts, labels = torch.tensor(TEXTS), torch.tensor([0, 2, 1])
    losses = []
    for one in (before, model):
        one.zero_grad()
        logits = one.prior.symbol_logits(one.encode(texts).posterior_mean)
        probabilities = logits.softmax(-1) if one is model else summed(logits.softmax(-1))
        losses.append(-probabilities[torch.arange(3), labels].log().mean())
        losses[-1].backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-13)
    for (name, old), new in zip(before.named_parameters(), model.parameters(), strict=True):
        if old.grad is not None:
            torch.testing.assert_close(new.grad, old.grad, rtol=0, atol=1e-12, msg=name)
    output = model.train()(texts, class_labels=labels, generator=0)
    assert output.symbol_logits.shape == (3, 3) and output.loss.isfinite()


@pytest.mark.parametrize("network", [EnergyNetwork, EnergyMLP])
def test_a_single_output_of_a_symbol_passes_unchanged(network):
    torch.manual_seed(0)
    sizes = {"num_levels": 2} if network is EnergyNetwork else {}
    grouped = network(latent_size=LATENT, num_symbols=2, symbol_groups=[1, 0, 1], **sizes).eval()
    assert grouped.head.out_features == 3 and set(grouped.state_dict()) == set(
        network(latent_size=LATENT, num_symbols=3, **sizes).state_dict()
    )
    states, level = torch.randn(5, LATENT), torch.zeros(5, dtype=torch.long)
    logits = grouped(states, level)
    grouped.groups = None
    outputs = grouped(states, level)
    assert torch.equal(logits[:, 0], outputs[:, 1])
    torch.testing.assert_close(logits[:, 1], outputs[:, [0, 2]].logsumexp(-1))


def test_very_unlike_outputs_neither_overflow_nor_vanish():
    model = five_symbols().float()
    model.merge_symbols(GROUPS)
    outputs = torch.tensor([[-2e4, 0.0, 3.0, -2e4, 1e4]], requires_grad=True)
    logits = model.prior.energy.groups(outputs)
    torch.testing.assert_close(logits, torch.tensor([[-2e4 + torch.tensor(2.0).log(), 0.0, 1e4]]))
    logits.sum().backward()
    torch.testing.assert_close(outputs.grad, torch.tensor([[0.5, 1.0, 0.0, 0.5, 1.0]]), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_groups_and_their_numbers(dtype):
    model = five_symbols()
    model.merge_symbols(GROUPS)
    expected = model.infer_symbols(torch.tensor(TEXTS))
    half = model.to(dtype)
    assert half.prior.energy.groups.members.dtype == torch.long
    torch.testing.assert_close(half.infer_symbols(torch.tensor(TEXTS)).float(), expected, rtol=0, atol=0.02)


def test_compiled_gradient_of_merged_symbols_is_the_eager_one():
    model = five_symbols().double()
    model.merge_symbols(GROUPS)
    states, _, level = levels_of(model)
    labels = torch.arange(6) % 3
    with torch.no_grad():
        expected = model.prior.level_energy(level, labels).value_and_gradient(states)
        compiled = model.prior.level_energy(level, labels, compile=True).value_and_gradient(states)
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-10)
