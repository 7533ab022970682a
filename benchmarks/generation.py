"""Writing sentences: `generate` against a bare loop over the decoder, and against the published style.

    python benchmarks/generation.py

Published sizes: 10,004 words, 512 wide, 40 latent dimensions. An untrained model would not end its sentences, so this
one gets a clock that does, after 21 tokens on average and a length from 1 to 40 that its latent sets, as in PTB.
"""

import math

import torch
from pairs import Comparison, compare, comparison_table
from published_style import LENGTH, PublishedStyle
from sizes import PUBLISHED, Sizes
from torch.nn import functional as F

from ldebm_hf import LDEBMConfig, LDEBMModel

MEAN_LENGTH, LENGTH_SPREAD = 21, 9
CLOCK_RATE = 0.005  # share of the way to 1 that the clock goes with every token


@torch.no_grad()
def end_by_clock(model: LDEBMModel) -> LDEBMModel:
    """
    Make the model end each sentence after a number of tokens that depends on the first component of its latent.

    Two units of the decoder's state are set by hand: one rises steadily from where the latent puts it, the other is
    always 1, and `</s>` wins as soon as the first exceeds a fixed share of the second.
    """
    decoder, width = model.decoder, model.config.decoder_hidden_size
    for unit, update_share in ((0, CLOCK_RATE), (1, 1 - 1e-9)):
        for gate in range(3):
            decoder.rnn.weight_ih_l0[gate * width + unit] = 0
            decoder.rnn.weight_hh_l0[gate * width + unit] = 0
        decoder.rnn.bias_ih_l0[width + unit] = math.log(1 / update_share - 1)  # the gate is what is kept
        decoder.rnn.bias_hh_l0[width + unit] = 0
        decoder.rnn.bias_ih_l0[2 * width + unit] = 20  # tanh of it is 1
    decoder.initial_state.weight[:2] = 0
    decoder.initial_state.weight[0, 0] = CLOCK_RATE * LENGTH_SPREAD
    words, end = decoder.embedding.weight, model.config.eos_token_id
    words[:, :2], words[end] = 0, 0
    words[model.config.pad_token_id, 1] = -1e4  # padding behind the end is no word of the sentence
    words[end, 0] = 1e4
    words[end, 1] = -1e4 * (1 - (1 - CLOCK_RATE) ** MEAN_LENGTH)
    return model


@torch.no_grad()
def bare_loop(model: LDEBMModel, latents: torch.Tensor, max_length: int = LENGTH) -> torch.Tensor:
    """Decode greedily with nothing around it, all rows until the last one has ended. Tokens of shape `(n, length)`."""
    decoder, end = model.decoder, model.config.eos_token_id
    state = decoder.initial_state(latents)[None]
    token = torch.full((len(latents),), model.config.decoder_start_token_id, device=latents.device)
    ended, tokens = torch.zeros_like(token, dtype=torch.bool), []
    while len(tokens) < max_length and not ended.all():
        inputs = torch.cat([decoder.embedding(token), latents], -1)
        _, state = decoder.rnn(inputs[:, None], state)
        token = F.linear(state[0], decoder.embedding.weight).argmax(-1)
        ended = ended | (token == end)
        tokens.append(token)
    return torch.stack(tokens, 1)


def comparisons(rounds: int = 3, device: str = "cpu", sizes: Sizes = PUBLISHED) -> list[Comparison]:
    torch.manual_seed(0)
    model = LDEBMModel(LDEBMConfig(num_symbols=20, langevin_steps=50, **sizes.settings)).to(device).eval()
    published = PublishedStyle(end_by_clock(model)).to(device).eval()
    latents = torch.randn(sizes.num_samples, model.config.latent_size, device=device)
    unending = latents - 100
    one_batch = (sizes.num_samples, sizes.num_samples)
    return [
        *compare(
            "a sentence from its latent, greedy: bare loop without dropping rows; generate",
            lambda: bare_loop(model, latents),
            {f"about {MEAN_LENGTH} tokens, at most {LENGTH}": lambda: model.generate(latents=latents)},
            rounds=rounds,
            target=1 / 1.3,
            items=one_batch,
        ),
        *compare(
            "the same two where no row ends early",
            lambda: bare_loop(model, unending, 10),
            {"10 tokens": lambda: model.generate(latents=unending, max_new_tokens=10)},
            rounds=rounds,
            target=1 / 1.3,
            items=one_batch,
        ),
        *compare(
            f"a sentence with its latent: published style in batches of {sizes.published_batch}; generate",
            lambda: published.decode(published.sample_latents(sizes.published_batch)),
            {
                "50 Langevin steps": lambda: model.generate(num_samples=sizes.num_samples),
                "the default 10": lambda: model.generate(num_samples=sizes.num_samples, num_langevin_steps=10),
            },
            rounds=rounds,
            target=5,
            as_commands_do=True,
            items=(sizes.published_batch, sizes.num_samples),
        ),
    ]


if __name__ == "__main__":
    print(comparison_table(comparisons(rounds=5, device="cuda" if torch.cuda.is_available() else "cpu")))
