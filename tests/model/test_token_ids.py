"""Token and class ids that there are not are named, wherever they are given."""

import pytest
import torch
from tiny_models import LATENT, VOCABULARY, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig
from ldebm_hf.model.token_embedding import TokenEmbedding

GOOD = torch.tensor([[2, 4, 3]])
WAYS = {
    "forward": lambda model, ids: model(input_ids=ids),
    "infer_symbols": lambda model, ids: model.infer_symbols(ids),
    "generate": lambda model, ids: model.generate(input_ids=ids),
    "encode": lambda model, ids: model.encode(input_ids=ids),
    "labels": lambda model, ids: model(input_ids=GOOD, labels=ids),
    "prompt": lambda model, ids: model.generate(
        latents=torch.zeros(1, LATENT), decoder_input_ids=ids, max_new_tokens=2
    ),
}


@pytest.mark.parametrize("bad", [VOCABULARY, VOCABULARY + 7, -1])
@pytest.mark.parametrize("way", WAYS)
def test_token_that_is_not_in_the_vocabulary(way, bad):
    or_unknown = r" or -100 \(unknown\)" if way == "labels" else ""
    allowed = rf"must be in 0..{VOCABULARY - 1}, as vocab_size{or_unknown}, got {bad}$"
    with pytest.raises(ValueError, match=f"token ids {allowed}"):
        WAYS[way](tiny_model(), torch.tensor([[2, bad, 3]]))


@pytest.mark.parametrize("bad", [3, 99, -5])
def test_class_that_there_is_not(bad):
    for ids in (torch.tensor([bad]), [bad]):
        with pytest.raises(ValueError, match=rf"must be in 0..2.*got {bad}"):
            tiny_model()(input_ids=GOOD, class_labels=ids)
    tiny_model()(input_ids=GOOD, class_labels=torch.tensor([-100]))


@pytest.mark.parametrize("bad", [12, -1])
def test_documents(bad):
    config = LDEBMConfig(modality="document", vocab_size=12, document_hidden_size=8, latent_size=4, num_symbols=2)
    model = LDEBMModel(config).eval()
    model(input_ids=torch.tensor([[4, 11, 0]]))
    with pytest.raises(ValueError, match=rf"token ids must be in 0..11, as vocab_size, got {bad}"):
        model(input_ids=torch.tensor([[4, bad, 0]]))


def test_text_classifier():
    judge = TextClassifier(TextClassifierConfig(vocab_size=12, embedding_size=4, hidden_size=4)).eval()
    with pytest.raises(ValueError, match=r"token ids must be in 0..11, as vocab_size, got 12"):
        judge(torch.tensor([[2, 12, 3]]))
    with pytest.raises(ValueError, match=r"labels must be in 0..1, as num_labels or -100 \(unknown\), got 5"):
        judge(torch.tensor([[2, 4, 3], [2, 5, 3]]), labels=torch.tensor([-100, 5]))


def test_embedding_is_that_of_torch_and_compiles():
    embedding = TokenEmbedding(5, 3)
    ids = torch.tensor([[0, 4], [2, 2]])
    assert torch.equal(embedding(ids), embedding.weight[ids])
    assert torch.equal(torch.compile(embedding, backend="eager")(ids), embedding.weight[ids])
