"""Train a latent diffusion energy-based model, or one of its baselines, on texts, documents or points of the plane.

    accelerate launch examples/train.py --config demo
    accelerate launch examples/train.py --data my.csv --text_column text --label_column topic --num_symbols 12
    accelerate launch examples/train.py --config agnews --data_dir data/agnews
    accelerate launch examples/train.py --config gaussians
    accelerate launch examples/train.py --config points --data my.csv --num_symbols 5
    accelerate launch examples/train.py --config demo --resume latest

`--help` lists every setting. Everything the run writes is in `--output_dir`. `ldebm train` does the same.
"""

from ldebm_hf.commands.options import run_script
from ldebm_hf.commands.train import CONTINUES, say_what_is_learned, say_what_is_next
from ldebm_hf.training import Trainer, assemble, load_settings


def main(arguments: list[str] | None = None) -> None:
    # 1. The settings: a recipe, and the command line over it.
    settings = load_settings(arguments)

    # 2. The corpus, the tokenizer of its words, and an untrained model.
    model, tokenizer, corpus = assemble(settings)

    # 3. Train, or continue where an interrupted run stopped.
    trainer = Trainer(model, tokenizer, corpus, settings)
    say_what_is_learned(trainer, corpus)
    trainer.train()

    # 4. Where the results are, and what to try next.
    say_what_is_next(trainer)


if __name__ == "__main__":
    run_script(main, CONTINUES)
