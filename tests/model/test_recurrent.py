"""Packing, and the GRU over packed sequences against torch's, forward and backward."""

import pytest
import torch
from torch import nn

from ldebm_hf.model.recurrent import GRU, PackedGRU, embed, pack, text_lengths

IDS = torch.tensor([[2, 5, 3, 0], [2, 6, 7, 3], [2, 3, 0, 0]])


def test_packed_tokens_come_step_after_step_without_padding():
    packed = pack(IDS, [3, 4, 2])
    assert packed.data.tolist() == [2, 2, 2, 6, 5, 3, 7, 3, 3]
    assert packed.batch_sizes.tolist() == [3, 3, 2, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2]


def test_rows_ordered_from_long_to_short_keep_their_order():
    packed = pack(IDS[[1, 0, 2]], [4, 3, 2])
    assert packed.data.tolist() == pack(IDS, [3, 4, 2]).data.tolist()
    assert packed.sorted_indices is None and packed.unsorted_indices is None


def test_lengths_are_counted_from_the_mask_else_from_the_padding_token():
    assert text_lengths(IDS, None, pad_token_id=0) == [3, 4, 2]
    assert text_lengths(IDS, torch.ones_like(IDS), pad_token_id=0) == [4, 4, 4]
    with pytest.raises(ValueError, match=r"attention_mask must be ones and then zeros.*got \[0, 1, 1, 1\] in row 0"):
        text_lengths(IDS, None, pad_token_id=2)


# ------------------------------------------------------------------------------------------------------------- the GRU


@pytest.fixture(params=[False, True], ids=["one direction", "bidirectional"])
def pair(request) -> tuple[GRU, nn.GRU]:
    """Our GRU and torch's, with the same float64 parameters under the same names."""
    torch.manual_seed(0)
    ours, torchs = (
        kind(5, 7, batch_first=True, bidirectional=request.param, dtype=torch.float64) for kind in (GRU, nn.GRU)
    )
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [3, 6, 1, 4], [5, 5, 5, 5], [1, 1, 1, 1]])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("parts", [(True, True), (True, False), (False, True)], ids=str)
def test_results_and_gradients_are_torchs(pair, lengths, with_state, parts):
    torch.manual_seed(1)
    texts = torch.randn(4, 6, 5, dtype=torch.float64, requires_grad=True)
    directions = 2 if pair[0].bidirectional else 1
    state = torch.randn(directions, 4, 7, dtype=torch.float64, requires_grad=True) if with_state else None
    results = []
    for gru in pair:
        output, final = gru(pack(texts, lengths), state)
        loss = sum(tensor.sin().sum() * use for tensor, use in zip((output.data, final), parts, strict=True))
        leaves = [texts, *gru.parameters(), *([state] if with_state else [])]
        results.append([output.data, final, *torch.autograd.grad(loss, leaves)])
        assert (output.sorted_indices is None) == (lengths == sorted(lengths, reverse=True))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [3, 6, 1, 4]])
def test_recurring_words_are_read_as_their_embeddings_are(pair, lengths):
    torch.manual_seed(1)
    embedding = nn.Embedding(4, 5, dtype=torch.float64)
    ids = torch.randint(4, (4, 6))
    ours, torchs = pair
    embedded = pack(embedding(ids), lengths)
    results = []
    for gru, (output, final) in ((ours, ours.read(embedding, ids, lengths)), (torchs, torchs(embedded))):
        loss = output.data.sin().sum() + final.cos().sum()
        results.append([output.data, final, *torch.autograd.grad(loss, [embedding.weight, *gru.parameters()])])
    for read, expected in zip(*results, strict=True):
        torch.testing.assert_close(read, expected, rtol=0, atol=1e-12)


def test_hooks_of_an_embedding_see_texts_and_not_packed_words(pair):
    """As with transformers' hook that adds noise to embeddings, which reads the length of the texts from them."""
    embedding, lengths = nn.Embedding(4, 5, dtype=torch.float64), [3, 6, 1, 4]
    ids, seen = torch.randint(4, (4, 6)), []
    embedding.register_forward_hook(lambda module, arguments, output: seen.append(output.shape) or 2 * output)
    ours, torchs = pair
    read, expected = ours.read(embedding, ids, lengths), torchs(pack(2 * embedding.weight[ids], lengths))
    assert seen == [(4, 6, 5)]
    torch.testing.assert_close(read[0].data, expected[0].data, rtol=0, atol=1e-12)
    expected = pack(2 * embedding.weight[ids], lengths).data
    torch.testing.assert_close(embed(embedding, ids, pack(ids, lengths), lengths), expected)


def test_differentiating_twice_gives_the_same():
    gru = GRU(3, 4, batch_first=True)
    output, _ = gru(pack(torch.randn(2, 5, 3), [5, 2]))
    first, second = (torch.autograd.grad(output.data.sum(), [*gru.parameters()], retain_graph=True) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_mixed_and_half_precision_and_padded_input_are_torchs(monkeypatch):
    monkeypatch.setattr(PackedGRU, "apply", lambda *_: pytest.fail("not torch's"))
    gru, texts = GRU(3, 4, batch_first=True), torch.randn(2, 5, 3)
    full, _ = nn.GRU.forward(gru, pack(texts, [5, 2]))
    assert gru(texts)[0].shape == (2, 5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = gru(pack(texts, [5, 2]))
    half, _ = gru.bfloat16()(pack(texts.bfloat16(), [5, 2]))
    embedding, ids = nn.Embedding(6, 3, dtype=torch.bfloat16), torch.tensor([[1, 2], [3, 0]])
    assert gru.read(embedding, ids, [2, 1])[0].data.shape == (3, 4)
    for output in (mixed, half):
        torch.testing.assert_close(output.data.float(), full.data, rtol=0, atol=0.02)
