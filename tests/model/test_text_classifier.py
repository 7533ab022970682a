"""The classifier against torch's own GRU, padding, saving and loading, and a task it must learn."""

import math

import pytest
import torch
from clean_processes import run_clean
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSequenceClassification

from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig

NAMES = {0: "bad", 1: "good", 2: "neutral"}
INPUT_IDS = torch.tensor([[2, 5, 6, 7, 8, 3], [2, 9, 3, 0, 0, 0], [2, 6, 6, 3, 0, 0]])
LENGTHS = [6, 3, 4]


def tiny_classifier(**settings) -> TextClassifier:
    torch.manual_seed(0)
    sizes = {"vocab_size": 12, "embedding_size": 6, "hidden_size": 5, "id2label": NAMES}
    return TextClassifier(TextClassifierConfig(**sizes | settings)).eval()


@pytest.mark.parametrize("pooling", ["max", "final"])
def test_logits_are_those_of_torch_text_by_text(pooling):
    model = tiny_classifier(pooling=pooling)
    plain = nn.GRU(6, 5, batch_first=True, bidirectional=True)
    plain.load_state_dict(model.rnn.state_dict())
    for row, length, logits in zip(INPUT_IDS, LENGTHS, model(INPUT_IDS).logits, strict=True):
        states, final = plain(model.embedding(row[None, :length]))
        pooled = states[0].max(0).values if pooling == "max" else final[:, 0].flatten()
        torch.testing.assert_close(logits, model.classes(pooled))


@pytest.mark.parametrize("pooling", ["max", "final"])
def test_more_padding_and_the_order_of_texts_change_nothing(pooling):
    model = tiny_classifier(pooling=pooling)
    expected = model(INPUT_IDS).logits
    padded = F.pad(INPUT_IDS, (0, 4), value=7)  # not even padding tokens, if the mask says so
    mask = torch.arange(10) < torch.tensor(LENGTHS)[:, None]
    torch.testing.assert_close(model(padded, mask.long()).logits, expected)
    order = torch.tensor([1, 2, 0])
    torch.testing.assert_close(model(INPUT_IDS[order]).logits, expected[order])


def test_left_padding_is_refused():
    with pytest.raises(ValueError, match="attention_mask must be ones and then zeros"):
        tiny_classifier()(INPUT_IDS.flip(1))


def test_labels_are_one_for_each_text():
    ids = torch.tensor([[2, 4, 3], [2, 5, 3]])
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\), got \(1,\)"):
        TextClassifier(TextClassifierConfig(vocab_size=12))(ids, labels=[0])


def test_loss_is_the_cross_entropy_of_known_labels():
    model = tiny_classifier()
    output = model(INPUT_IDS, labels=torch.tensor([2, -100, 0]))
    expected = -(output.logits[0].log_softmax(-1)[2] + output.logits[2].log_softmax(-1)[0]) / 2
    torch.testing.assert_close(output.loss, expected)
    assert model(INPUT_IDS, labels=torch.full((3,), -100)).loss == 0
    assert model(INPUT_IDS).loss is None


def test_word_dropout_reads_unknown_words_in_training_only():
    model = tiny_classifier(word_dropout=1 - 1e-7, dropout=0.0)
    of_unknown_words = model(torch.ones_like(INPUT_IDS), INPUT_IDS != 0).logits
    of_texts = model(INPUT_IDS).logits
    torch.testing.assert_close(model.train()(INPUT_IDS).logits, of_unknown_words)
    assert not torch.allclose(of_texts, of_unknown_words)


def test_dropout_in_training_only():
    model = tiny_classifier(word_dropout=0.0)
    assert torch.equal(model(INPUT_IDS).logits, model(INPUT_IDS).logits)
    model.train()
    assert not torch.equal(model(INPUT_IDS).logits, model(INPUT_IDS).logits)


def test_gradients_are_those_of_finite_differences():
    model = tiny_classifier(embedding_size=2, hidden_size=2).double()
    labels = torch.tensor([0, 1, 2])
    parameters = dict(model.named_parameters())
    names, values = list(parameters), tuple(parameters.values())

    def loss(*replaced):
        values = dict(zip(names, replaced, strict=True))
        return torch.func.functional_call(model, values, (INPUT_IDS, None, labels)).loss

    assert torch.autograd.gradcheck(loss, values)


def test_it_learns_which_word_decides():
    # Class 1 if token 5 is anywhere in the text, which max-pooling detects.
    model = tiny_classifier(vocab_size=20, hidden_size=16, embedding_size=16, id2label={0: "no", 1: "yes"}).train()
    texts = torch.randint(6, 20, (256, 9), generator=torch.Generator().manual_seed(1))
    labels = (torch.arange(256) % 2).long()
    texts[labels == 1, torch.randint(9, (256,), generator=torch.Generator().manual_seed(2))[labels == 1]] = 5
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(80):
        optimizer.zero_grad()
        model(texts[:128], labels=labels[:128]).loss.backward()
        optimizer.step()
    right = model.eval()(texts[128:]).logits.argmax(-1) == labels[128:]
    assert right.float().mean() > 0.95


def test_fresh_weights_are_torchs_own():
    # Bounds are torch's 1/√hidden_size; of 10,000 uniform numbers, the largest is above 0.99 of it but for e⁻¹⁰⁰.
    model = tiny_classifier(vocab_size=500, embedding_size=40, hidden_size=64)
    assert 0.99 / 8 < model.rnn.weight_hh_l0.abs().max() <= 1 / 8
    assert model.classes.weight.abs().max() <= 128**-0.5
    # 20,000 normal numbers: the standard error of their deviation is 0.5 %.
    assert model.embedding.weight.std().item() == pytest.approx(model.config.embedding_std, rel=0.025)


def test_auto_class_loads_what_was_saved(tmp_path):
    model = tiny_classifier()
    model.save_pretrained(tmp_path)
    assert {"config.json", "model.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob("*.bin"))
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is TextClassifierConfig and config.id2label == NAMES and config.label2id["neutral"] == 2
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(loaded) is TextClassifier and not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    torch.testing.assert_close(loaded(INPUT_IDS).logits, model(INPUT_IDS).logits)


def test_missing_tensors_are_drawn_and_no_other_is_touched(tmp_path):
    model = tiny_classifier()
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    missing = {"rnn.weight_hh_l0", "classes.bias", "embedding.weight"}
    kept = {name: tensor for name, tensor in saved.items() if name not in missing}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = TextClassifier.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in kept.items())
    assert loaded["rnn.weight_hh_l0"].abs().max() <= 5**-0.5 and loaded["rnn.weight_hh_l0"].std() > 0.1
    assert loaded["classes.bias"].abs().max() <= 10**-0.5
    assert 0.05 < loaded["embedding.weight"].std() < 0.15


WITHOUT_THE_PACKAGE = """
import sys
import torch
from transformers import AutoModelForSequenceClassification

folder, inputs, results = sys.argv[1:]
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
with torch.no_grad():
    torch.save(model(torch.load(inputs)).logits, results)
"""


def test_folder_works_where_the_package_is_not_installed(tmp_path):
    model = tiny_classifier()
    folder, inputs, results = (tmp_path / name for name in ("saved", "inputs.pt", "results.pt"))
    model.save_pretrained(folder)
    torch.save(INPUT_IDS, inputs)
    run_clean(WITHOUT_THE_PACKAGE, tmp_path, folder, inputs, results, package=False)
    torch.testing.assert_close(torch.load(results), model(INPUT_IDS).logits)


def test_names_from_label2id():
    config = TextClassifierConfig(label2id={"no": 0, "yes": 1})
    assert config.id2label == {0: "no", 1: "yes"} and config.num_labels == 2


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("vocab_size", 0, "at least 1, got 0"),
        ("hidden_size", -1, "at least 1, got -1"),
        ("dropout", 1.0, r"in \[0, 1\), got 1.0"),
        ("word_dropout", -0.1, r"in \[0, 1\), got -0.1"),
        ("embedding_std", 0, "positive, got 0"),
        ("embedding_std", math.nan, "finite, got nan"),
        ("unk_token_id", 12, r"in 0\.\.11, as vocab_size, got 12"),
        ("pooling", "mean", "'max', 'final'"),
    ],
)
def test_values_out_of_range_are_named(name, value, allowed):
    with pytest.raises(Exception, match=name) as error:
        tiny_classifier(**{name: value})
    assert error.match(allowed)
