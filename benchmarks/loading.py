"""What `from_pretrained` costs: resident memory and processor time of checkpoints with a pretrained decoder.

    python benchmarks/loading.py

The decoder has the architecture of GPT-2 with 6 layers and random weights, 58 million of them (232 MB). A
self-contained checkpoint holds them; the other one names the folder of the language model. Memory is read on Linux
only.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from fresh_process import call_in_fresh_process
from transformers import GPT2Config, GPT2LMHeadModel

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.experiments.peak_memory import peak_gigabytes, reset_peak_memory, resident_gigabytes
from ldebm_hf.reports.tables import markdown_table

NUM_WORDS, WIDTH, NUM_LAYERS = 20_000, 768, 6


def save_checkpoints(folder: Path, num_words: int = NUM_WORDS, width: int = WIDTH) -> dict[str, Path]:
    """Two checkpoints of one model with random weights, by what they hold. Its language model is beside them."""
    torch.manual_seed(0)
    base = GPT2Config(vocab_size=num_words, n_embd=width, n_layer=NUM_LAYERS, n_head=4, n_positions=64,
                      bos_token_id=2, eos_token_id=3)  # fmt: skip
    language_model = folder / "language_model"
    GPT2LMHeadModel(base).save_pretrained(language_model)
    config = LDEBMConfig(vocab_size=num_words, decoder="pretrained", decoder_name_or_path=str(language_model),
                         embedding_size=16, encoder_hidden_size=16, decoder_hidden_size=16)  # fmt: skip
    model = LDEBMModel(config)
    model.load_base_models()
    model.save_pretrained(folder / "self_contained", include_base_models=True)
    model.save_pretrained(folder / "named")
    return {"self-contained": folder / "self_contained", "names the language model": folder / "named"}


def load(checkpoint: Path, first: Path) -> dict[str, float]:
    """
    Megabytes that a process has more after loading a checkpoint than before, at most and in the end, and seconds of
    the processor. `first` is loaded before, so that modules are imported and memory is in use that every load needs.
    """
    LDEBMModel.from_pretrained(first)
    before = resident_gigabytes()
    reset_peak_memory()
    start = time.process_time()
    model = LDEBMModel.from_pretrained(checkpoint)
    seconds = time.process_time() - start
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return {
        "weights": weights / 1e6,
        "after": (resident_gigabytes() - before) * 1e3,
        "peak": (peak_gigabytes() - before) * 1e3,
        "seconds": seconds,
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with TemporaryDirectory() as place, TemporaryDirectory() as small:
        first = save_checkpoints(Path(small), num_words=100, width=8)["self-contained"]
        checkpoints = save_checkpoints(Path(place))
        found = [call_in_fresh_process(load, checkpoint, first) for checkpoint in checkpoints.values()]
    columns = {
        "checkpoint": list(checkpoints),
        "weights, MB": [f"{one['weights']:.0f}" for one in found],
        "resident after loading, MB": [f"{one['after']:.0f}" for one in found],
        "resident at most, MB": [f"{one['peak']:.0f}" for one in found],
        "processor time, s": [f"{one['seconds']:.2f}" for one in found],
    }
    print(markdown_table(columns))


if __name__ == "__main__":
    main()
