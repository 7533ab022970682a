"""What users of transformers expect of any model: tuples, lengths, names of labels, default dtypes, clear refusals."""

import pytest
import torch
from tiny_base_models import bert, llama, pretrained_model
from tiny_models import TINY_SIZES, seeded, tiny_model
from transformers import GenerationConfig

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
FIVE_NAMES = {symbol: f"name {symbol}" for symbol in range(5)}


@pytest.mark.parametrize("model", [tiny_model(), tiny_model("vae")], ids=["diffusion", "vae"])
def test_tuple_instead_of_an_output(model):
    expected = model(IDS, generator=seeded())
    output = model(IDS, generator=seeded(), return_dict=False)
    assert isinstance(output, tuple) and len(output) == len(expected.to_tuple())
    assert torch.equal(output[0], expected.loss)
    model.config.return_dict = False
    assert isinstance(model(IDS), tuple) and model(IDS, return_dict=True).loss is not None
    assert model.generate(num_samples=2, max_new_tokens=3).shape[0] == 2
    model.config.return_dict = True


@pytest.mark.parametrize("name", ["output_attentions", "output_hidden_states"])
def test_outputs_of_transformers_layers_are_refused_before_any_work(name, monkeypatch):
    model = tiny_model()
    monkeypatch.setattr(type(model.prior), "sample", lambda *args, **kwargs: pytest.fail("sampled all the same"))
    expected = rf"{name} must be False, because the model does not return"
    calls = (
        lambda: model(IDS, **{name: True}),
        lambda: model.generate(num_samples=2, return_dict_in_generate=True, **{name: True}),
        lambda: model.generate(num_samples=2, generation_config=GenerationConfig(**{name: True})),
    )
    for call in calls:
        with pytest.raises(ValueError, match=expected):
            call()
    assert model(IDS, **{name: False}).loss.isfinite()
    setattr(model.config, name, True)
    with pytest.raises(ValueError, match=expected):
        model(IDS)


def test_stop_strings_are_refused_before_any_work_where_they_cannot_be_matched(monkeypatch):
    tokenizer = build_tokenizer(["a b c d e f g h"], max_length=8)
    model = tiny_model(vocab_size=len(tokenizer))
    latents = torch.randn(20, 4, generator=seeded())
    stopped = model.generate(latents=latents, max_new_tokens=8, eos_token_id=[3, 5])
    assert (stopped == 5).sum() > 0 and ((stopped == 5).sum(1) <= 1).all()
    monkeypatch.setattr(type(model.prior), "sample", lambda *args, **kwargs: pytest.fail("sampled all the same"))
    with pytest.raises(ValueError, match="stop_strings need the argument tokenizer as well, got"):
        model.generate(num_samples=2, stop_strings=["a"])
    with pytest.raises(ValueError, match="stop_strings must be used with a tokenizer of subwords, got .* eos_"):
        model.generate(num_samples=2, stop_strings=["a"], tokenizer=tokenizer)


def test_max_length_counts_the_first_token_wherever_it_is_given(caplog):
    model = tiny_model()
    latents = torch.randn(2, 4, generator=seeded())
    config = GenerationConfig(max_length=5, eos_token_id=-1)
    for options in (
        {"max_length": 5, "eos_token_id": -1},
        {"max_new_tokens": 4, "eos_token_id": -1},
        {"generation_config": config},
        {"generation_config": config, "decoder_input_ids": torch.tensor([[2, 5, 6]] * 2)},
    ):
        assert model.generate(latents=latents, **options).shape == (2, 5)
    assert config.max_length == 5 and config.max_new_tokens is None
    assert "max_new_tokens" not in caplog.text


def test_encoders_and_decoders_are_found_as_in_transformers():
    model = tiny_model()
    assert model.get_encoder() is model.encoder and model.get_decoder() is model.decoder
    assert model.get_encoder("image") is model  # as any model of texts
    with pytest.raises(ValueError, match="but found smell"):
        model.get_encoder("smell")


def test_names_of_labels_follow_each_other():
    assert LDEBMConfig(label2id={"a": "0", "b": "1"}).id2label == {0: "a", 1: "b"}
    config = LDEBMConfig(id2label={"0": "a", "1": "b"})
    assert config.label2id == {"a": 0, "b": 1}
    config.id2label = {"0": "x", "1": "y"}
    assert config.id2label == {0: "x", 1: "y"} and config.label2id == {"x": 0, "y": 1}
    config.num_labels = 3
    assert config.label2id == {f"LABEL_{symbol}": symbol for symbol in range(3)}
    assert LDEBMConfig.from_dict(config.to_dict()).label2id == config.label2id


@pytest.mark.parametrize("preset", ["consistent", "published", "svebm", "gm_vae"])
@pytest.mark.parametrize(
    "given",
    [
        {"num_labels": 5, "id2label": FIVE_NAMES, "label2id": {name: i for i, name in FIVE_NAMES.items()}},
        {"id2label": {str(symbol): name for symbol, name in FIVE_NAMES.items()}},
        {"label2id": {name: str(symbol) for symbol, name in FIVE_NAMES.items()}},
    ],
    ids=["all three", "id2label", "label2id"],
)
def test_checkpoint_is_relabelled_while_loading(preset, given, tmp_path):
    model = tiny_model(preset)
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path, **given, ignore_mismatched_sizes=True)
    assert loaded.config.id2label == FIVE_NAMES and loaded.config.num_labels == 5
    assert loaded.config.label2id == {name: symbol for symbol, name in FIVE_NAMES.items()}
    assert loaded.infer_symbols(IDS).shape == (2, 5)
    loss = loaded.train()(IDS, class_labels=torch.tensor([4, 3])).loss
    assert loss.isfinite()
    kept = [name for name, tensor in loaded.state_dict().items() if tensor.shape == model.state_dict()[name].shape]
    assert torch.equal(loaded.encoder.embedding.weight, model.encoder.embedding.weight) and len(kept) > 10


@pytest.mark.parametrize("modality", ["text", "document", "point"])
@pytest.mark.parametrize("preset", ["consistent", "svebm", "vae", "gm_vae", "semi_vae_i"])
def test_default_dtype_of_half_precision_leaves_the_prior_in_float32(preset, modality):
    sizes = {**TINY_SIZES, "id2label": {i: str(i) for i in range(4)}, "document_hidden_size": 8}
    config = LDEBMConfig.from_preset(preset, modality=modality, point_hidden_size=8, **sizes)
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = LDEBMModel(config)
        inputs = {"points": torch.randn(3, 2)} if modality == "point" else {"input_ids": IDS}
        output = model(**inputs)
        output.loss.backward()
        assert torch.get_default_dtype() == torch.bfloat16
        samples = model.sample_latents(3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_prior_in_float32(model)
    assert output.loss.isfinite() and samples.dtype == torch.float32


def test_default_dtype_of_half_precision_with_base_models():
    bases = bert(), llama()  # in float32, as they are on the Hub
    torch.set_default_dtype(torch.bfloat16)
    try:
        model, tokenizer = pretrained_model(*bases)
        batch = tokenizer(["great coffee", "We don't like the bread."], padding=True, return_tensors="pt")
        output = model.train()(**batch)
        output.loss.backward()
        texts = model.eval().generate(**batch, max_new_tokens=4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_prior_in_float32(model)
    assert output.loss.isfinite() and len(texts) == 2


def assert_prior_in_float32(model):
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    floating = {name: tensor.dtype for name, tensor in tensors.items() if tensor.is_floating_point()}
    assert {dtype for name, dtype in floating.items() if name.startswith("prior.")} == {torch.float32}
    assert torch.bfloat16 in floating.values()
