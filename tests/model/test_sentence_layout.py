"""Vectors of texts from the files of sentence-transformers: pooling against a plain loop, and what the files say."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from tiny_base_models import HIDDEN, bert, sentence_bert, write_json
from torch import nn

from ldebm_hf.model.sentence_layout import NO_LAYOUT, SentencePooling, pool, read_layout

KINDS = ("mean", "mean_sqrt_len", "weighted_mean", "max", "cls", "last")


def plain_pooling(states: list[list[float]], pooling: str) -> list[float]:
    """One vector of the states of one text, without padding."""
    columns = list(zip(*states, strict=True))
    if pooling == "cls":
        return states[0]
    if pooling == "last":
        return states[-1]
    if pooling == "max":
        return [max(column) for column in columns]
    if pooling == "weighted_mean":
        weights = range(1, len(states) + 1)
        return [math.fsum(w * x for w, x in zip(weights, column, strict=True)) / sum(weights) for column in columns]
    divisor = len(states) if pooling == "mean" else math.sqrt(len(states))
    return [math.fsum(column) / divisor for column in columns]


@pytest.mark.parametrize("pooling", KINDS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_pooling_reads_the_tokens_and_no_padding(pooling, side):
    torch.manual_seed(0)
    lengths, longest = [1, 4, 7], 7
    states = torch.randn(3, longest, 5, dtype=torch.float64)
    mask = torch.zeros(3, longest, dtype=torch.long)
    expected = []
    for row, length in enumerate(lengths):
        part = slice(longest - length, longest) if side == "left" else slice(length)
        mask[row, part] = 1
        expected.append(plain_pooling(states[row, part].tolist(), pooling))
    pooled = pool(states, mask, pooling)
    torch.testing.assert_close(pooled, torch.tensor(expected, dtype=pooled.dtype), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("pooling", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_long_texts_in_half_precision(pooling, dtype):
    """Positions and sums of weights beyond what half precision can count are exact."""
    torch.manual_seed(0)
    states = torch.randn(2, 600, 3).to(dtype)
    mask = torch.ones(2, 600, dtype=torch.long)
    mask[1, 555:] = 0
    pooled = pool(states, mask, pooling)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, pool(states.double(), mask, pooling).to(dtype), rtol=0.01, atol=0.001)


def test_steps_in_their_order():
    layout = read_layout(str(sentence_bert()))
    torch.manual_seed(0)
    steps = SentencePooling(layout, HIDDEN)
    steps.load(layout, str(sentence_bert()), None)
    weights = load_file(sentence_bert() / "2_Dense" / "model.safetensors")
    states, mask = torch.randn(3, 4, HIDDEN), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    joined = torch.cat([states[:, 0], pool(states, mask, "mean")], 1)
    dense = torch.tanh(joined @ weights["linear.weight"].T + weights["linear.bias"])
    expected = dense / dense.square().sum(1, keepdim=True).sqrt()
    assert steps.num_features == 6
    torch.testing.assert_close(steps(states, mask), expected)


def test_files_of_sentence_transformers():
    layout = read_layout(str(sentence_bert()))
    assert layout | {"dense": []} == {
        "subfolder": "", "pooling": ["cls", "mean"], "dense": [], "normalize": True, "max_length": 12,
        "lowercase": True, "prompt": "Review: ",
    }  # fmt: skip
    (dense,) = layout["dense"]
    assert (dense["in_features"], dense["out_features"], dense["path"]) == (2 * HIDDEN, 6, "2_Dense/")
    assert read_layout(str(bert())) == NO_LAYOUT
    assert json.loads(json.dumps(layout)) == layout


@pytest.fixture
def folder(tmp_path):
    """A folder in the layout of the first releases, with the transformer in a folder of its own."""
    kinds = {"0_Transformer": "Transformer", "1_Pooling": "Pooling"}
    steps = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    write_json(tmp_path / "modules.json", steps)
    write_json(tmp_path / "0_Transformer" / "sentence_roberta_config.json", {"max_seq_length": 128})
    write_json(tmp_path / "1_Pooling" / "config.json", {"pooling_mode_lasttoken": True})
    return tmp_path


def test_files_of_the_first_releases(folder):
    layout = read_layout(str(folder))
    assert (layout["subfolder"], layout["max_length"], layout["pooling"]) == ("0_Transformer", 128, ["last"])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pooling_mode": "lasttoken"}, ["last"]),
        ({"pooling_mode": "mean_sqrt_len_tokens"}, ["mean_sqrt_len"]),
        ({"pooling_mode": ["weightedmean", "max"]}, ["weighted_mean", "max"]),
        ({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, ["cls"]),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ["max", "mean"]),
        ({"pooling_mode_cls_token": False}, ["mean"]),
        ({"pooling_mode_weightedmean_tokens": True, "pooling_mode_mean_sqrt_len_tokens": True},
         ["mean_sqrt_len", "weighted_mean"]),
        ({}, ["mean"]),
    ],
)  # fmt: skip
def test_poolings_of_all_releases(folder, settings, expected):
    write_json(folder / "1_Pooling" / "config.json", settings)
    assert read_layout(str(folder))["pooling"] == expected


def add_step(folder, kind: str, settings: dict, package: str = "sentence_transformers.models") -> None:
    steps = json.loads((folder / "modules.json").read_text())
    path = f"{len(steps)}_{kind}"
    write_json(folder / "modules.json", [*steps, {"path": path, "type": f"{package}.{kind}"}])
    write_json(folder / path / "config.json", settings)


def test_dense_layer_without_an_activation_named_has_a_hyperbolic_tangent(folder):
    add_step(folder, "Dense", {"in_features": 4, "out_features": 2})
    steps = SentencePooling(read_layout(str(folder)), 4)
    assert isinstance(steps.activations[0], nn.Tanh) and steps.num_features == 2


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("WeightedLayerPooling", {}, "has a step WeightedLayerPooling in modules.json"),
        ("Dense", {"in_features": 4, "out_features": 2, "activation_function": "os.system"}, "activation_function"),
        ("Dense", {"in_features": 4, "out_features": 2, "use_residual": True}, "use_residual of the base model's"),
        ("Dense", {"in_features": 4, "out_features": 2, "module_input_name": "token_embeddings"}, "module_input_name"),
        ("Pooling", {"pooling_mode": "median"}, "pooling_mode of the base model must be one of .* got 'median'"),
    ],
)
def test_unknown_steps_are_refused(folder, kind, settings, message):
    add_step(folder, kind, settings)
    with pytest.raises(ValueError, match=message):
        read_layout(str(folder))


def test_steps_of_other_packages_are_refused(folder):
    add_step(folder, "Transformer", {}, package="my_models")
    with pytest.raises(ValueError, match="has the step my_models.Transformer in modules.json"):
        read_layout(str(folder))


def test_steps_after_the_normalisation_are_refused(folder):
    add_step(folder, "Normalize", {})
    assert read_layout(str(folder))["normalize"]
    add_step(folder, "Dense", {"in_features": 4, "out_features": 2})
    with pytest.raises(ValueError, match="has the step Dense after Normalize"):
        read_layout(str(folder))


def test_prompt_that_is_not_pooled_is_refused(folder):
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True, "include_prompt": False})
    assert read_layout(str(folder))["prompt"] == ""
    prompts = {"prompts": {"query": "Query: "}, "default_prompt_name": None}
    write_json(folder / "config_sentence_transformers.json", prompts)
    assert read_layout(str(folder))["prompt"] == ""
    write_json(folder / "config_sentence_transformers.json", prompts | {"default_prompt_name": "query"})
    with pytest.raises(ValueError, match="a prompt and include_prompt=false"):
        read_layout(str(folder))
