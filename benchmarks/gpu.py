"""Everything that only a GPU can show, in at most 8 minutes: one table of medians and ratios, and the same as JSON.

    python benchmarks/gpu.py --output outputs/gpu.json      # on a machine with a GPU
    python benchmarks/gpu.py --small                        # tiny sizes on a CPU, to see that the script works

Each ratio is the time on the left over the time on the right, from runs in turns in this process, with quartiles over
the rounds. A section that cannot run here is skipped, and the table says why; so is what is left when the time is up.
One that fails does not keep the others from running. Without faiss there is no clustering; datasets, evaluate and
gradio are not needed. The texts are those of `training_step.py`.
"""

import argparse
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import generation
import geometric_clustering
import sampler
import torch
import training_step
from pairs import Comparison, compare, comparison_table
from run import environment
from sizes import PUBLISHED, SMALL, Sizes
from torch import nn

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.files.atomic import write_text
from ldebm_hf.pseudo_labels.geometric_clustering import ClusteringSettings
from ldebm_hf.reports.tables import markdown_table

SAMPLERS = {
    "torch.compile, on a GPU with CUDA graphs": {"compile": True},
    "bfloat16": {"dtype": torch.bfloat16},
    "both": {"compile": True, "dtype": torch.bfloat16},
}
"""Ways of computing the energy in Langevin chains, as `optimize_sampler` takes them."""


class InBfloat16(nn.Module):
    """A model whose forward pass runs under autocast, as `accelerate launch --mixed_precision bf16` does."""

    def __init__(self, model: LDEBMModel):
        super().__init__()
        self.module = model

    def forward(self, **batch):
        with torch.autocast(self.module.device.type, torch.bfloat16):
            return self.module(**batch)


class Warnings(logging.Handler):
    """Collects what the package warns of, such as `torch.compile` that fails."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


# ---- sections


def training(rounds: int, device: str, sizes: Sizes) -> list[Comparison]:
    """A whole training step: the published style and ours, then ours in float32 and in other ways."""
    texts, _ = training_step.read_texts()
    batch = training_step.make_batch(texts, training_step.random_indices(texts, sizes.batch_size))

    def built(preset: str = "consistent") -> LDEBMModel:
        return training_step.build_model(device, preset, sizes)

    plain, compiled, half = built(), built(), built()
    compiled.prior.optimize_sampler(compile=True)
    steps = {
        "float32": training_step.our_step(plain, batch),
        "sampler through torch.compile": training_step.our_step(compiled, batch),
        "bfloat16 by autocast": training_step.our_step(InBfloat16(half), batch),
    }
    memory = {name: peak_gigabytes(step, device) for name, step in steps.items()}
    baseline = steps.pop("float32")
    rows = compare("training step, default preset: float32; another way", baseline, steps, rounds=rounds)
    for row in rows:
        if device != "cpu":
            row.note += f"; {memory['float32']:.2f} and {memory[row.note]:.2f} GB"
    return training_step.comparisons(rounds, device, sizes) + rows


def peak_gigabytes(step: Callable[[], None], device: str) -> float:
    """The most memory of the GPU that PyTorch's tensors took during the second step; 0 on a CPU."""
    if device == "cpu":
        return 0.0
    step()  # the optimiser's first one makes its state
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated() / 1e9


def sampling(rounds: int, device: str, sizes: Sizes) -> list[Comparison]:
    """Samples of the prior: the published style and ours, then ours in float32 and in other ways."""
    torch.manual_seed(0)
    model = LDEBMModel(LDEBMConfig(num_symbols=20, **sizes.settings)).to(device).eval()

    def sample(**options) -> Callable[[], None]:
        def call() -> None:
            model.prior.optimize_sampler(**options)
            model.sample_latents(sizes.num_samples)

        return call

    variants = {name: sample(**options) for name, options in SAMPLERS.items()}
    name = f"{sizes.num_samples} latents from the prior, default preset: float32; another way"
    return sampler.comparisons(rounds, device, sizes) + compare(name, sample(), variants, rounds=rounds)


def writing(rounds: int, device: str, sizes: Sizes) -> list[Comparison]:
    """Sentences: a bare loop, the published style and ours, then ours in float32 and in bfloat16."""
    torch.manual_seed(0)
    config = LDEBMConfig(num_symbols=20, **sizes.settings)
    models = [generation.end_by_clock(LDEBMModel(config)).to(device).eval() for _ in range(2)]
    models[1].to(torch.bfloat16)
    latents = torch.randn(sizes.num_samples, config.latent_size, device=device)
    plain, half = (lambda model=model: model.generate(latents=latents.to(model.dtype)) for model in models)
    name = f"{sizes.num_samples} sentences from their latents, greedy: float32; another way"
    return generation.comparisons(rounds, device, sizes) + compare(name, plain, {"bfloat16": half}, rounds=rounds)


def clustering(rounds: int, device: str, sizes: Sizes) -> list[Comparison]:
    """K-means: on the CPU from a random start and from the last clusters, then on the CPU and on the GPU."""
    rows = geometric_clustering.comparisons(rounds, "cpu", sizes)
    if device == "cpu":
        return rows
    import faiss

    if faiss.get_num_gpus() == 0:
        rows[-1].note += "; on the CPU alone, because faiss sees no GPU"
        return rows
    means, _ = geometric_clustering.posterior_means(sizes.num_clustered)
    return rows + compare(
        f"K-means of {len(means):,} means: on the CPU; on the GPU",
        lambda: geometric_clustering.cluster(means, ClusteringSettings()),
        lambda: geometric_clustering.cluster(means, ClusteringSettings(gpu=True)),
        rounds=rounds,
    )


SECTIONS = {"training": training, "sampling": sampling, "writing": writing, "clustering": clustering}


# ---- the same results


@torch.no_grad()
def differences(device: str, sizes: Sizes) -> dict[str, float]:
    """How far results on the device are from the same model's on the CPU, and those in bfloat16 from float32."""
    texts, _ = training_step.read_texts()
    batch = training_step.make_batch(texts, training_step.random_indices(texts, sizes.batch_size))
    model = training_step.build_model("cpu", "consistent", sizes).eval()
    latents = torch.randn(sizes.num_samples, model.config.latent_size)
    level = torch.arange(len(latents)) % model.config.num_levels
    found = []
    for place in ("cpu", device):
        model.to(place)
        read = model.encode(batch["input_ids"].to(place), batch["attention_mask"].to(place))
        tokens = model.generate(latents=latents.to(place))
        weight = torch.ones(len(latents), 1, device=place)
        gradients = [
            model.prior.energy.frozen_copy(level.to(place), weight, dtype=dtype).gradient(latents.to(place)).cpu()
            for dtype in (torch.float32, torch.bfloat16)
        ]
        found.append((read.posterior_mean.cpu(), read.symbol_logits.cpu(), tokens.cpu(), gradients))
    (means, logits, tokens, gradients), (own_means, own_logits, own_tokens, own_gradients) = found
    length = min(tokens.shape[1], own_tokens.shape[1])
    is_equal = tokens[:, :length] == own_tokens[:, :length]
    return {
        "largest difference of posterior means": (means - own_means).abs().max().item(),
        "largest difference of symbol logits": (logits - own_logits).abs().max().item(),
        "fraction of greedy tokens that are equal": is_equal.float().mean().item(),
        "relative error of energy gradients": relative_error(own_gradients[0], gradients[0]),
        "relative error of energy gradients in bfloat16": relative_error(own_gradients[1], own_gradients[0]),
    }


def relative_error(values: torch.Tensor, exact: torch.Tensor) -> float:
    return ((values - exact).norm() / exact.norm()).item()


# ---- the script


def reason_to_skip(section: str, seconds_left: float) -> str | None:
    """Why a section cannot run here and now; `None` if it can."""
    if seconds_left <= 0:
        return "the time is up"
    if section == "clustering" and find_spec("faiss") is None:
        return "faiss is not installed"
    return None


def run_sections(options: argparse.Namespace, device: str) -> dict:
    """Run the sections one after the other, and write the report after each, so that an interruption loses little."""
    start, sizes = time.monotonic(), SMALL if options.small else PUBLISHED
    warnings = Warnings()
    logging.getLogger("ldebm_hf").addHandler(warnings)
    report = {"environment": environment() | {"device": device, "small": options.small}}
    report |= {"results": {}, "skipped": {}, "failed": {}}
    report["differences"] = differences(device, sizes)
    print(table_of_differences(report["differences"], device), flush=True)
    for name in options.sections:
        reason = reason_to_skip(name, 60 * options.minutes - (time.monotonic() - start))
        if reason is not None:
            report["skipped"][name] = reason
            print(f"\n### {name}: skipped, {reason}", flush=True)
        else:
            try:
                rows = SECTIONS[name](options.rounds, device, sizes)
            except Exception as error:  # the other sections shall not be lost by it
                report["failed"][name] = f"{type(error).__name__}: {error}"
                print(f"\n### {name}: failed\n\n{traceback.format_exc()}", flush=True)
            else:
                report["results"][name] = [row.to_dict() for row in rows]
                print(f"\n### {name}\n\n{comparison_table(rows)}", flush=True)
        report["warnings"] = warnings.texts
        report["seconds"] = round(time.monotonic() - start, 1)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        write_text(options.output, json.dumps(report, indent=1) + "\n")
    logging.getLogger("ldebm_hf").removeHandler(warnings)
    return report


def table_of_differences(found: dict[str, float], device: str) -> str:
    title = f"\n### the same results on {device} as on the CPU\n\n"
    return title + markdown_table({"what": list(found), "value": [f"{value:.2g}" for value in found.values()]})


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The options of a command line; those that do not go together end the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--small", action="store_true", help="tiny sizes, on the CPU where there is no GPU")
    add("--rounds", type=int, default=5, metavar="N", help="runs of each side (default 5)")
    add("--minutes", type=float, default=7, metavar="M", help="start no section after so many minutes (default 7)")
    add("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to run (default: all)")
    add("--output", type=Path, default=Path("outputs/gpu.json"), metavar="FILE", help="the JSON file")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    if not torch.cuda.is_available() and not options.small:
        parser.error("there is no GPU that PyTorch can use: --small runs tiny sizes on the CPU")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = read_options(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    report = run_sections(options, device)
    for text in report["warnings"]:
        print(f"\nwarning: {text}")
    print(f"\n{report['seconds']:.0f} s; the same as JSON: {options.output}")
    if report["failed"]:
        sys.exit(f"error: {', '.join(report['failed'])} failed")


if __name__ == "__main__":
    main()
