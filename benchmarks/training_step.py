"""A whole training step on PTB at the published sizes, against the published style; tokens per second and memory.

    python benchmarks/training_step.py                  # the comparison, and where our step's time goes
    python benchmarks/training_step.py --processes      # what two processes on this machine gain over one

128 texts a batch, encoder, decoder and embeddings 512 wide, 10,004 words, 40 latent dimensions, 20 symbols. The texts
are PTB's training texts if `LDEBM_DATA_DIR` holds `ptb/ptb.train.txt`, else random words, their number drawn from a
normal distribution with PTB's mean and standard deviation (22.7, 9.3). The published style pads all texts to 40
tokens. A step is forward, backward, gradient clipping and Adam.
"""

import argparse
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fresh_process import call_in_fresh_process, call_in_fresh_processes
from pairs import Comparison, compare, comparison_table
from published_style import LENGTH, PublishedStyle
from sizes import PUBLISHED, Sizes
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.experiments.peak_memory import peak_gigabytes
from ldebm_hf.model.objective import reconstruction_loss
from ldebm_hf.model.text_modality import TextDecoder, TextEncoder
from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.training.batches import TokenizedSplit, to_device
from ldebm_hf.training.float32_products import float32_products
from ldebm_hf.training.optimization import clip_gradients, make_optimizer
from ldebm_hf.training.settings import TrainingSettings

VOCABULARY = 10_004


# ---- texts


def read_lines() -> list[str]:
    """Return PTB's training texts; none if `LDEBM_DATA_DIR` does not hold them."""
    path = Path(os.environ.get("LDEBM_DATA_DIR", "data")) / "ptb" / "ptb.train.txt"
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_texts() -> tuple[list[list[int]], str]:
    """Return token ids of PTB's training texts, cut to 40, or drawn ones; and which of the two they are."""
    if lines := read_lines():
        tokenizer = build_tokenizer(lines, VOCABULARY, max_length=LENGTH)
        return tokenizer(lines, truncation=True)["input_ids"], "PTB's texts"
    rng = np.random.default_rng(0)
    lengths = rng.normal(22.7, 9.3, size=20_000).round().astype(int).clip(3, LENGTH)
    return [[2, *rng.integers(4, VOCABULARY, size=length - 2), 3] for length in lengths], "drawn texts"


def make_batch(texts: list[list[int]], indices: np.ndarray) -> dict:
    split = TokenizedSplit(texts, np.random.default_rng(2).integers(20, size=len(texts)), 0)
    (batch,) = split.batches([indices])
    return {name: value for name, value in batch.items() if name != "indices"}


def random_indices(texts: list[list[int]], batch_size: int = PUBLISHED.batch_size) -> np.ndarray:
    return np.random.default_rng(1).choice(len(texts), batch_size)


# ---- steps


def build_model(device: str | torch.device, preset: str = "published", sizes: Sizes = PUBLISHED) -> LDEBMModel:
    torch.manual_seed(0)
    return LDEBMModel(LDEBMConfig.from_preset(preset, num_symbols=20, **sizes.settings)).to(device).train()


def our_step(model: torch.nn.Module, batch: dict) -> Callable[[], None]:
    """A training step on the batch; `model` may be wrapped for several processes."""
    settings, bare = TrainingSettings(), getattr(model, "module", model)
    optimizer = make_optimizer(bare, settings)

    def step() -> None:
        model(**to_device(batch, bare.device)).loss.backward()
        clip_gradients(optimizer, settings)
        optimizer.step()
        optimizer.zero_grad()

    return step


def published_step(model: LDEBMModel, batch: dict) -> Callable[[], None]:
    """The same in the published style: padded to 40 tokens, plain Adam."""
    style, settings = PublishedStyle(model).to(model.device), TrainingSettings()
    prior = list(style.energy.parameters())
    autoencoder = [*style.encoder.parameters(), *style.decoder.parameters()]
    optimizers = [
        (torch.optim.Adam(autoencoder, settings.learning_rate), autoencoder, settings.max_grad_norm),
        (torch.optim.Adam(prior, settings.prior_learning_rate), prior, settings.prior_max_grad_norm),
    ]
    ids = torch.nn.functional.pad(batch["input_ids"], (0, LENGTH - batch["input_ids"].shape[1]))

    def step() -> None:
        style.loss(ids.to(model.device), batch["class_labels"].to(model.device)).backward()
        for optimizer, parameters, limit in optimizers:
            torch.nn.utils.clip_grad_norm_(parameters, limit)
            optimizer.step()
            optimizer.zero_grad()

    return step


STYLES = {"ours": our_step, "published": published_step}


# ---- comparisons


def comparisons(rounds: int = 3, device: str = "cpu", sizes: Sizes = PUBLISHED) -> list[Comparison]:
    texts, source = read_texts()
    batch = make_batch(texts, random_indices(texts, sizes.batch_size))
    ours = {
        "preset `published`, 50 Langevin steps": our_step(build_model(device, sizes=sizes), batch),
        "the default preset, 10 Langevin steps": our_step(build_model(device, "consistent", sizes), batch),
    }
    target = 3 if device == "cpu" else 10
    baseline = published_step(build_model(device, sizes=sizes), batch)
    name = f"training step on {source}"
    rows = compare(name, baseline, ours, rounds=rounds, target=target, as_commands_do=True)
    rows += compare(f"{name}, both with PyTorch's products of matrices", baseline, ours, rounds=rounds)
    for row in rows:
        tokens = (sum(batch["lengths"]) / seconds for seconds in (row.baseline_seconds, row.our_seconds))
        row.note += "; {:,.0f} and {:,.0f} tokens/s".format(*tokens)
    return rows


def peak_memory(device: str = "cpu") -> str:
    gigabytes = {style: call_in_fresh_process(gigabytes_of_two_steps, style, device) for style in STYLES}
    return f"peak memory: published style {gigabytes['published']:.2f} GB, ours {gigabytes['ours']:.2f} GB"


def gigabytes_of_two_steps(style: str, device: str) -> float:
    """Return this process's peak memory after two training steps: of the GPU, or resident on the CPU."""
    texts, _ = read_texts()
    step = STYLES[style](build_model(device), make_batch(texts, random_indices(texts)))
    for _ in range(2):
        step()
    return peak_gigabytes() if device == "cpu" else torch.cuda.max_memory_allocated() / 1e9


# ---- where the time goes


def breakdown(rounds: int = 3, device: str = "cpu") -> str:
    """Seconds of forward and backward of each part of our step, as a table."""
    model, (texts, _) = build_model(device), read_texts()
    batch = make_batch(texts, random_indices(texts))
    ids, lengths = batch["input_ids"].to(device), batch["lengths"]
    latents = torch.randn(len(lengths), model.config.latent_size, device=device, requires_grad=True)
    inputs, target_lengths = ids[:, :-1], [length - 1 for length in lengths]
    num_targets = sum(target_lengths)
    hidden = torch.randn(num_targets, model.config.decoder_hidden_size, device=device, requires_grad=True)
    targets = torch.randint(model.config.vocab_size, (num_targets,), device=device)
    settings = TrainingSettings()
    optimizer = make_optimizer(model, settings)
    encoder: TextEncoder = model.encoder
    decoder: TextDecoder = model.decoder

    def optimise() -> None:
        clip_gradients(optimizer, settings)
        optimizer.step()

    parts = {
        "encoder": lambda: encoder(ids, lengths=lengths).sample().sum().backward(),
        "decoder": lambda: decoder.forward_packed(inputs, latents, target_lengths).data.sum().backward(),
        "vocabulary": lambda: reconstruction_loss(hidden, decoder.embedding.weight, targets, len(lengths)).backward(),
        "prior": lambda: model.prior.loss(latents).loss.backward(),
        "clip and Adam": optimise,
    }
    seconds = {name: [] for name in parts}
    with float32_products("auto", torch.device(device)):
        for _ in range(1 + rounds):
            for name, part in parts.items():
                seconds[name].append(_timed(part))
    medians = {name: float(np.median(times[1:])) for name, times in seconds.items()}
    total = sum(medians.values())
    return markdown_table(
        {
            "part of our step": list(medians),
            "seconds": [f"{s:.3f}" for s in medians.values()],
            "share": [f"{100 * s / total:.0f} %" for s in medians.values()],
        }
    )


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


# ---- two processes


def process_efficiency(rounds: int = 3, steps: int = 3) -> str:
    """Two processes of one thread and 64 texts each against one process with 128 texts, of one thread and of two."""
    layouts = {"1 x 128, 1 thread": (1, 1), "1 x 128, 2 threads": (1, 2), "2 x 64, 1 thread each": (2, 1)}
    seconds = {name: [] for name in layouts}
    for _ in range(rounds):
        for name, (num_processes, num_threads) in layouts.items():
            seconds[name].append(_seconds_per_step(num_processes, num_threads, steps))
    gains = []
    for times in seconds.values():
        ratios = np.array(seconds["1 x 128, 1 thread"]) / np.array(times)
        low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        gains.append(f"{median:.2f} ({low:.2f} to {high:.2f})")
    return markdown_table(
        {
            "processes x texts": list(seconds),
            "seconds a step": [f"{np.median(times):.3f}" for times in seconds.values()],
            "gain over one thread (quartiles)": gains,
        }
    )


def _seconds_per_step(num_processes: int, num_threads: int, steps: int) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    ranks = [(rank, num_processes, address, steps) for rank in range(num_processes)]
    return max(call_in_fresh_processes(seconds_of_one_process, ranks, num_threads))


def seconds_of_one_process(rank: int, num_processes: int, address: str, steps: int) -> float:
    """Train with the other processes, on this one's part of the batch; return the median seconds of a step."""
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=num_processes)
    texts, _ = read_texts()
    part = random_indices(texts)[rank::num_processes]
    step = our_step(DistributedDataParallel(build_model("cpu")), make_batch(texts, part))
    times = []
    with float32_products("auto", torch.device("cpu")):
        step()
        for _ in range(steps):
            distributed.barrier()
            times.append(_timed(step))
    distributed.destroy_process_group()
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--processes", action="store_true", help="compare two processes with one")
    parser.add_argument("--device", default=device, help=f"where to compute (default {device})")
    options = parser.parse_args()
    if options.processes:
        print(process_efficiency(options.rounds))
    else:
        print(comparison_table(comparisons(options.rounds, options.device)))
        print()
        print(peak_memory(options.device))
        print()
        print(breakdown(options.rounds, options.device))


if __name__ == "__main__":
    main()
