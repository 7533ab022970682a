"""The loss over a vocabulary in float32, in bfloat16 and from sampled words: processor time, and errors by float64.

    python benchmarks/vocabulary.py                             # drawn states and words
    python benchmarks/vocabulary.py --hidden_size 512
    python benchmarks/vocabulary.py --checkpoint outputs/ptb    # those of a model that was trained on PTB
    python benchmarks/vocabulary.py --steps                     # whole training steps of the default preset

The tokens are those of 128 texts of PTB, if `LDEBM_DATA_DIR` holds `ptb/ptb.train.txt`, else of drawn ones. The
sampled loss draws the same words for all tokens, by their frequency and with replacement. Its normaliser is the term
of the target and those of all other words drawn, each divided by the number of times that the word is expected to be
drawn. Averaged over many draws, what remains of the error of its loss and gradients is their bias.
"""

import argparse
import math
import time

import numpy as np
import torch
from pairs import compare, comparison_table
from torch.nn import functional as F
from training_step import VOCABULARY, build_model, make_batch, our_step, random_indices, read_lines, read_texts

from ldebm_hf import LDEBMModel, LDEBMPipeline
from ldebm_hf.model.recurrent import pack
from ldebm_hf.model.vocabulary_loss import vocabulary_loss
from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.training.float32_products import float32_products

Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""States, words and targets, all on the CPU."""
Result = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""The loss, and its gradients with respect to states and words."""


# ---- inputs


def drawn_inputs(hidden_size: int) -> tuple[Inputs, list[list[int]]]:
    """Draw states and words whose logits have a standard deviation of 2; also return the token ids of all texts."""
    texts, _ = read_texts()
    targets = torch.cat([torch.tensor(texts[i][1:]) for i in random_indices(texts)])
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(len(targets), hidden_size, generator=generator)
    words = torch.randn(VOCABULARY, hidden_size, generator=generator) * 2 / math.sqrt(hidden_size)
    return (states, words, targets), texts


@torch.no_grad()
def trained_inputs(checkpoint: str) -> tuple[Inputs, list[list[int]]]:
    """The same of a model of texts with a recurrent decoder."""
    lines = read_lines()
    if not lines:
        raise SystemExit("--checkpoint needs PTB: LDEBM_DATA_DIR must name the folder that holds ptb/ptb.train.txt")
    torch.manual_seed(0)
    pipeline = LDEBMPipeline.from_pretrained(checkpoint)
    model: LDEBMModel = pipeline.model.eval()
    texts = pipeline.tokenizer(lines, truncation=True)["input_ids"]
    batch = make_batch(texts, random_indices(texts))
    ids, lengths = batch["input_ids"], [length - 1 for length in batch["lengths"]]
    latents = model.encoder(ids, lengths=batch["lengths"]).sample()
    states = model.decoder.forward_packed(ids[:, :-1], latents, lengths).data
    return (states, model.decoder.embedding.weight.clone(), pack(ids[:, 1:], lengths).data), texts


# ---- losses


def full_loss(inputs: Inputs, product_dtype: torch.dtype | None = None) -> Result:
    states, words, targets = inputs
    states, words = states.clone().requires_grad_(), words.clone().requires_grad_()
    loss = vocabulary_loss(states, words, targets, product_dtype)
    return loss.detach(), *torch.autograd.grad(loss, (states, words))


def sampled_loss(inputs: Inputs, num_negatives: int, frequency: torch.Tensor, generator: torch.Generator) -> Result:
    """The loss among the target and `num_negatives` words drawn by their `frequency`, `(vocab_size,)`."""
    states, words, targets = inputs
    drawn = torch.multinomial(frequency, num_negatives, replacement=True, generator=generator)
    log_expected = (num_negatives * frequency).log()
    target_logits = (states * words[targets]).sum(-1)
    logits = F.linear(states, words[drawn]) - log_expected[drawn]
    logits.masked_fill_(drawn == targets[:, None], -math.inf)
    log_probabilities = torch.cat([target_logits[:, None], logits], 1).log_softmax(-1)
    target_error = log_probabilities[:, :1].exp() - 1
    error = log_probabilities[:, 1:].exp()
    state_gradient = (error @ words[drawn]).addcmul_(target_error, words[targets])
    word_gradient = torch.zeros_like(words).index_add_(0, drawn, error.T @ states)
    word_gradient.index_add_(0, targets, target_error * states)
    return -log_probabilities[:, 0].sum(), state_gradient, word_gradient


# ---- figures


def relative_errors(result: Result, exact: Result) -> list[float]:
    return [float((got - true).norm() / true.norm()) for got, true in zip(result, exact, strict=True)]


def figures(
    inputs: Inputs, texts: list[list[int]], rounds: int, draws: int, numbers_of_negatives: list[int]
) -> str:
    """Times and errors of all losses as a table; `texts` are what words are drawn from."""
    states, words, targets = inputs
    exact = full_loss((states.double(), words.double(), targets))
    counts = 1.0 + torch.bincount(torch.cat([torch.tensor(text[1:]) for text in texts]), minlength=len(words))
    frequency = counts / counts.sum()
    generator = torch.Generator().manual_seed(0)
    methods = {
        "float32": lambda: full_loss(inputs),
        "products in bfloat16": lambda: full_loss(inputs, torch.bfloat16),
    }
    for number in numbers_of_negatives:
        methods[f"{number:,} sampled words"] = lambda number=number: sampled_loss(inputs, number, frequency, generator)
    seconds, rows = {name: [] for name in methods}, []
    for _ in range(1 + rounds):
        for name, method in methods.items():
            start = time.process_time()
            method()
            seconds[name].append(time.process_time() - start)
    for name, method in methods.items():
        errors, biases = relative_errors(method(), exact), [""] * 3
        if "sampled" in name:
            sums = method()
            for _ in range(draws - 1):
                sums = [total + more for total, more in zip(sums, method(), strict=True)]
            biases = [f"{error:.3f}" for error in relative_errors([total / draws for total in sums], exact)]
        rows.append([f"{1e3 * np.median(seconds[name][1:]):.0f}", *(f"{error:.1e}" for error in errors), *biases])
    errors = ["of the loss", "of states' gradient", "of words' gradient"]
    headings = ["ms", *(f"error {name}" for name in errors), *(f"bias {name}" for name in errors)]
    columns = dict(zip(headings, zip(*rows, strict=True), strict=True))
    return markdown_table({f"{len(states):,} tokens, width {states.shape[1]}": list(methods), **columns})


def steps(rounds: int) -> str:
    """Whole training steps of 128 texts at the published sizes, with products in float32 and in bfloat16."""
    texts, source = read_texts()
    batch = make_batch(texts, random_indices(texts))
    plain, rounded = (build_model("cpu", "consistent") for _ in range(2))
    rounded.decoder.optimize_vocabulary(torch.bfloat16)
    name = f"training step on {source}: products with the vocabulary in float32 (left) and bfloat16"
    compared = our_step(plain, batch), our_step(rounded, batch)
    return comparison_table(compare(name, *compared, rounds=rounds, clock=time.process_time))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a model of texts with a recurrent decoder (default: drawn numbers)")
    parser.add_argument("--hidden_size", type=int, default=128, help="width of drawn states (default 128)")
    parser.add_argument("--rounds", type=int, default=9, help="times that each loss is timed (default 9)")
    parser.add_argument("--draws", type=int, default=100, help="draws that a bias is estimated from (default 100)")
    parser.add_argument("--negatives", type=int, nargs="*", default=[1000, 4000], help="numbers of sampled words")
    parser.add_argument("--steps", action="store_true", help="time whole training steps instead")
    options = parser.parse_args()
    if options.steps:
        with float32_products("auto", torch.device("cpu")):
            print(steps(options.rounds))
        return
    inputs, texts = trained_inputs(options.checkpoint) if options.checkpoint else drawn_inputs(options.hidden_size)
    with float32_products("auto", torch.device("cpu")):
        print(figures(inputs, texts, options.rounds, options.draws, options.negatives))


if __name__ == "__main__":
    main()
