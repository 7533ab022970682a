"""Layers of base models that are computed again in the backward pass: the same gradients from less memory."""

import copy
from functools import partial

import pytest
import torch
from tiny_base_models import TEXTS, bert, gpt2, llama, pretrained_model, t5
from tiny_models import tiny_model
from torch.utils.checkpoint import checkpoint

KINDS = {
    "encoder, last layers": ({"encoder": bert}, {"encoder_trainable_layers": 2}),
    "encoder, adapters": ({"encoder": t5}, {"encoder_lora_rank": 2}),
    "decoder, frozen": ({"decoder": gpt2}, {"decoder_lora_rank": 0}),
    "decoder, adapters": ({"decoder": llama}, {}),
    "decoder, prefix": ({"decoder": gpt2}, {"decoder_conditioning": "prefix", "decoder_word_dropout": 0.3}),
    "both": ({"encoder": bert, "decoder": llama}, {"encoder_lora_rank": 2, "decoder_trainable_layers": 2}),
}


def model_of(kind: str):
    folders, settings = KINDS[kind]
    return pretrained_model(**{part: folder() for part, folder in folders.items()}, **settings)


def gradients(model, tokenizer) -> tuple[dict[str, torch.Tensor], int]:
    """
    The gradients of a training step, and the number of bytes that its forward pass keeps for the backward pass. A copy
    of the model is trained, because a step changes the vectors of spectral normalisation and running statistics.
    """
    model = copy.deepcopy(model)
    kept: dict[int, int] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for parameter in model.parameters():
        kept[parameter.untyped_storage().data_ptr()] = 0
    torch.manual_seed(0)
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.train()(**batch, generator=0).loss
    loss.backward()
    found = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    parameters = {value.untyped_storage().data_ptr() for value in model.parameters()}
    return found, sum(size for place, size in kept.items() if place not in parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_same_and_less_is_kept(kind):
    model, tokenizer = model_of(kind)
    expected, more = gradients(model, tokenizer)
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    found, less = gradients(model, tokenizer)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert less < more
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing and gradients(model, tokenizer)[1] > less


def test_every_second_layer():
    model, tokenizer = model_of("encoder, last layers")
    kept = [gradients(model, tokenizer)[1]]
    for every in (2, 1):
        model.gradient_checkpointing_enable(every_n_layers=every)
        kept.append(gradients(model, tokenizer)[1])
    assert kept[0] > kept[1] > kept[2]


def test_frozen_layers_below_the_trained_ones_stay_out_of_the_backward_pass():
    model, tokenizer = model_of("encoder, last layers")
    model.gradient_checkpointing_enable()
    embedded = []
    model.encoder.base.embeddings.register_forward_hook(lambda module, inputs, output: embedded.append(output))
    gradients(model, tokenizer)
    assert not embedded[0].requires_grad


def test_evaluation_and_generation_are_as_ever():
    plain, tokenizer = model_of("both")
    model = copy.deepcopy(plain)
    model.gradient_checkpointing_enable()
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)

    def outputs(one, is_training):
        torch.manual_seed(0)  # of the dropout of the base model
        return one.train(is_training).generate(**batch, max_new_tokens=6), one(**batch, generator=0).loss

    for is_training in (False, True, False):
        for found, expected in zip(outputs(model, is_training), outputs(plain, is_training), strict=True):
            assert torch.equal(found, expected)
        assert all("forward" not in vars(module) for module in model.modules())


def test_wrong_uses_are_refused():
    with pytest.raises(ValueError, match="LDEBMModel does not support (activation|gradient) checkpointing"):
        tiny_model().gradient_checkpointing_enable()
    model, _ = model_of("both")
    with pytest.raises(ValueError, match="use_reentrant must be False, in gradient_checkpointing_kwargs"):
        model._set_gradient_checkpointing(gradient_checkpointing_func=partial(checkpoint, use_reentrant=True))
