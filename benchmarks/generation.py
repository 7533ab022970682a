"""Writing sentences: `generate` against a bare loop over the decoder, and against the published style.

    python benchmarks/generation.py
    python benchmarks/generation.py --rejection          # min_label_probability: blocks against rounds, on the CPU

Published sizes: 10,004 words, 512 wide, 40 latent dimensions. An untrained model would not end its sentences, so this
one gets a clock that does, after 21 tokens on average and a length from 1 to 40 that its latent sets, as in PTB.
Rejection is timed with the checkpoint of reviews that the repository includes, in processor time.
"""

import argparse
import math
import time
from itertools import count
from pathlib import Path

import torch
from pairs import Comparison, compare, comparison_table
from published_style import LENGTH, PublishedStyle
from sizes import PUBLISHED, Sizes
from torch.nn import functional as F

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.rejection import MAX_ATTEMPTS, generate_accepted, lengths_to_first_end

REVIEWS = Path(__file__).resolve().parents[1] / "spaces_app" / "yelp_sentiment"
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


@torch.no_grad()
def reject_in_rounds(
    model: LDEBMModel, least: float, class_labels: torch.Tensor, generator: torch.Generator
) -> tuple[list[torch.Tensor], int]:
    """
    Rejection in rounds: every round draws one candidate for each text that was not accepted before, at most
    `MAX_ATTEMPTS` times. The texts, the most probable ones of those that were never accepted, and the number of
    candidates.
    """
    end_token_ids = torch.tensor(model.config.eos_token_ids)
    texts: list[torch.Tensor] = [torch.empty(0)] * len(class_labels)
    best = torch.full((len(class_labels),), -1.0)
    rejected, num_drawn = torch.arange(len(class_labels)), 0
    for _ in range(MAX_ATTEMPTS):
        symbols = class_labels[rejected]
        token_ids = model.generate(class_labels=symbols, generator=generator)
        lengths = lengths_to_first_end(token_ids, end_token_ids)
        read = model.infer_symbols(token_ids, lengths=lengths).gather(1, symbols[:, None]).squeeze(1)
        num_drawn += len(rejected)
        for number, row in enumerate(rejected.tolist()):
            if read[number] > best[row]:
                best[row], texts[row] = read[number], token_ids[number, : lengths[number]]
        rejected = rejected[best[rejected] < least]
        if len(rejected) == 0:
            break
    return texts, num_drawn


def compare_rejection(
    model: LDEBMModel, num_texts: int, least: float, num_requests: int, rounds: int
) -> Comparison:
    """
    Rejection in rounds and in blocks, of half positive and half negative texts, in processor time.

    Args:
        model ([`LDEBMModel`]): A model of texts with two symbols.
        num_texts (`int`): Number of texts of a request.
        least (`float`): The probability with which a text is accepted.
        num_requests (`int`): Number of requests of a run, each with a seed of its own.
        rounds (`int`): Runs of each side.
    """
    class_labels = torch.arange(num_texts) % 2
    seeds, drawn = {"rounds": count(), "blocks": count()}, {"rounds": [], "blocks": []}

    def in_rounds() -> None:
        for _ in range(num_requests):
            generator = torch.Generator().manual_seed(next(seeds["rounds"]))
            drawn["rounds"].append(reject_in_rounds(model, least, class_labels, generator)[1])

    def in_blocks() -> None:
        for _ in range(num_requests):
            accepted = generate_accepted(model, least, class_labels, generator=next(seeds["blocks"]))
            drawn["blocks"].append(accepted.num_drawn)

    (found,) = compare(
        f"{num_texts} texts read as asked for with at least {least}: rounds; blocks",
        in_rounds,
        in_blocks,
        rounds=rounds,
        items=(num_requests, num_requests),
        clock=time.process_time,
    )
    means = {way: sum(numbers) / len(numbers) for way, numbers in drawn.items()}
    found.note = f"{means['rounds']:.1f} and {means['blocks']:.1f} candidates"
    return found


def rejection_comparisons(
    rounds: int = 4, checkpoint: Path = REVIEWS, requests: tuple[tuple[int, int], ...] = ((10, 8), (200, 1))
) -> list[Comparison]:
    """[`compare_rejection`] for numbers of texts, each with a number of requests, and for two probabilities."""
    model = LDEBMModel.from_pretrained(checkpoint)
    return [
        compare_rejection(model, num_texts, least, num_requests, rounds)
        for num_texts, num_requests in requests
        for least in (0.9, 0.99)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rejection", action="store_true", help="compare only ways of rejecting, on the CPU")
    if parser.parse_args().rejection:
        table = comparison_table(rejection_comparisons())
    else:
        table = comparison_table(comparisons(rounds=5, device="cuda" if torch.cuda.is_available() else "cpu"))
    print(table)
