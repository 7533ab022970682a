"""Train a latent diffusion energy-based model, or one of its baselines, on texts, documents or points of the plane.

    accelerate launch examples/train.py --config demo
    accelerate launch examples/train.py --data my.csv --text_column text --label_column topic --num_symbols 12
    accelerate launch examples/train.py --config agnews --data_dir data/agnews
    accelerate launch examples/train.py --config gaussians
    accelerate launch examples/train.py --config points --data my.csv --num_symbols 5
    accelerate launch examples/train.py --config demo --resume latest

`--help` lists every setting. Everything the run writes is in `--output_dir`.
"""

import shlex

from ldebm_hf.commands.options import run_script
from ldebm_hf.pseudo_labels.geometric_clustering import SOURCES
from ldebm_hf.training import Trainer, assemble, load_settings
from ldebm_hf.training.saved_runs import is_local, path_of_source


def main(arguments: list[str] | None = None) -> None:
    # 1. The settings: a recipe, and the command line over it.
    settings = load_settings(arguments)
    training = settings.training

    # 2. The corpus, the tokenizer of its words, and an untrained model.
    model, tokenizer, corpus = assemble(settings)
    config = model.config

    # 3. Train, or continue where an interrupted run stopped.
    trainer = Trainer(model, tokenizer, corpus, settings)
    unit = corpus.validation.unit
    trainer.say(f"{corpus.name}: {len(corpus.train):,} training and {len(corpus.validation):,} validation {unit}s")
    for note in corpus.notes:
        trainer.say(f"  note: {note}")
    if config.has_symbols:
        labelled = corpus.train.num_labelled
        source = SOURCES[settings.clustering.features]
        rest = f"symbols {source}" if settings.clustering.enabled else "without a symbol"
        trainer.say(f"{labelled:,} training {unit}s have a label, {len(corpus.train) - labelled:,} {rest}")
    symbols = f"{config.num_labels} symbols" if config.has_symbols else "no symbols"
    for name, value, of_preset in settings.differences_to_preset():
        trainer.say(f"  note: {name} is {value}; the preset {settings.model['preset']} has {of_preset}")
    trainer.say(f"{model.num_parameters():,} parameters, {symbols}, {trainer.total_steps:,} steps")
    trainer.train()

    # 4. Where the results are, and what to try next.
    trainer.say(f"The best model is in {training.output_dir}, with README.md, metrics.jsonl and curves.png. Next:")
    folder = shlex.quote(training.output_dir)
    file = f" --data {shlex.quote(path_of_source(settings.data))}" if is_local(settings.data.source) else ""
    if config.context_size:
        trainer.say(f"  python examples/respond.py {folder}{file}")
    elif config.modality_class.is_autoregressive:
        trainer.say(f"  python examples/generate.py {folder}{file} --num_samples 5")
    elif config.modality_class.reads_texts:
        trainer.say(f'  python examples/classify.py {folder} --text "a text of your own"')
    else:
        trainer.say(f"  python examples/synthetic.py {folder}")
    if config.has_symbols and config.modality_class.reads_texts:
        trainer.say(f"  python examples/explain.py {folder}{file}")
    trainer.say(f'  python -c "from ldebm_hf import LDEBMModel; LDEBMModel.from_pretrained({training.output_dir!r})"')


if __name__ == "__main__":
    run_script(main, continues="--resume latest continues from the last checkpoint")
