"""The GRU over packed sequences against torch's, forward and backward, and where it gives way to torch's."""

import pytest
import torch
from torch import nn

from ldebm_hf.model.packing import pack
from ldebm_hf.model.recurrent import GRU, PackedGRU


@pytest.fixture(params=[False, True], ids=["one direction", "bidirectional"])
def pair(request) -> tuple[GRU, nn.GRU]:
    """Ours and torch's with the same float64 weights, of which there are as many and by the same names."""
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
    tokens = pack(torch.randint(4, (4, 6)), lengths)
    ours, torchs = pair
    embedded = tokens._replace(data=embedding(tokens.data))
    results = []
    for gru, (output, final) in ((ours, ours.read(embedding, tokens)), (torchs, torchs(embedded))):
        loss = output.data.sin().sum() + final.cos().sum()
        results.append([output.data, final, *torch.autograd.grad(loss, [embedding.weight, *gru.parameters()])])
    for read, expected in zip(*results, strict=True):
        torch.testing.assert_close(read, expected, rtol=0, atol=1e-12)


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
    embedding, tokens = nn.Embedding(6, 3, dtype=torch.bfloat16), pack(torch.tensor([[1, 2], [3, 0]]), [2, 1])
    assert gru.read(embedding, tokens)[0].data.shape == (3, 4)
    for output in (mixed, half):
        torch.testing.assert_close(output.data.float(), full.data, rtol=0, atol=0.02)
