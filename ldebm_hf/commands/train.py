"""Train a latent diffusion energy-based model, or one of its baselines, on texts, documents or points of the plane.

    ldebm train --config texts --data my.csv --text_column body --num_symbols 30         # symbols without labels
    ldebm train --config texts --data my.csv --text_column body --label_column intent    # some rows have a label
    ldebm train --config demo                                                            # the built-in corpus
    ldebm train --config texts --data my.csv --resume latest                             # after an interruption
    accelerate launch --multi_gpu --num_processes 4 -m ldebm_hf.commands.train --config ptb --data_dir data/ptb

A recipe is a YAML file of settings, one that comes with the package or your own. Options change settings of it. All
that the run writes is in --output_dir: the best model, its card, metrics.jsonl, curves.png and settings.yaml.
"""

from __future__ import annotations

import shlex
import sys
import textwrap
from typing import TYPE_CHECKING

from ..data import Corpus
from ..files.packaged import RECIPES, packaged_names
from ..pseudo_labels.geometric_clustering import SOURCES
from ..training.command_line import HELP_COLUMN, WIDTH, describe_settings_named, load_settings
from ..training.saved_runs import is_local, path_of_source
from .options import run_script

if TYPE_CHECKING:
    from ..training import Settings, Trainer

CONTINUES = "--resume latest continues from the last checkpoint"
MOST_USED = (
    "data",
    "text_column",
    "label_column",
    "num_symbols",
    "encoder_name_or_path",
    "max_length",
    "num_train_epochs",
    "max_steps",
    "output_dir",
    "resume",
    "seed",
)
"""The settings that `--help` shows; `--help-all` shows all."""


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help" in arguments or "-h" in arguments:
        print(short_help(), end="")
        return
    say_what_is_next(train(load_settings(arguments)))


def short_help() -> str:
    """The text of `ldebm train --help`: examples, recipes, and the settings that most people need."""
    recipes = textwrap.wrap(f"a file, or one of {', '.join(packaged_names(RECIPES))}", WIDTH - HELP_COLUMN)
    return "\n".join([
        "usage: ldebm train [--config RECIPE] [--NAME VALUE ...]",
        "",
        __doc__,
        "options:",
        "  --config RECIPE".ljust(HELP_COLUMN) + ("\n" + " " * HELP_COLUMN).join(recipes),
        *describe_settings_named(MOST_USED),
        "  --help-all".ljust(HELP_COLUMN) + "show all settings",
        "",
    ])  # fmt: skip


def train(settings: Settings, corpus: Corpus | None = None) -> Trainer:
    """
    Train a model as settings say, and say what it learns from.

    Args:
        settings (`Settings`): All settings of the run.
        corpus (`Corpus`, *optional*): What `settings.load_corpus()` returned, if it was read already.

    Returns:
        `Trainer`: The one that has trained.

    Raises:
        OSError, ValueError: As [`assemble`] and [`Trainer`].
    """
    from ..training import Trainer, assemble  # for which `--help` need not wait

    model, tokenizer, corpus = assemble(settings, corpus)
    trainer = Trainer(model, tokenizer, corpus, settings)
    say_what_is_learned(trainer, corpus)
    trainer.train()
    return trainer


def say_what_is_learned(trainer: Trainer, corpus: Corpus) -> None:
    """Say before training what there is to learn from, and what is learned."""
    settings, config, unit = trainer.settings, trainer.config, corpus.validation.unit
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
    trainer.say(f"{trainer.model.num_parameters():,} parameters, {symbols}, {trainer.total_steps:,} steps")


def say_what_is_next(trainer: Trainer) -> None:
    """Say after training where the model is, and which commands use it."""
    settings, config = trainer.settings, trainer.config
    output_dir = settings.training.output_dir
    trainer.say(f"The best model is in {output_dir}, with README.md, metrics.jsonl and curves.png. Next:")
    folder = shlex.quote(output_dir)
    file = f" --data {shlex.quote(path_of_source(settings.data))}" if is_local(settings.data.source) else ""
    if config.context_size:
        trainer.say(f"  ldebm respond {folder}{file}")
    elif config.modality_class.is_autoregressive:
        trainer.say(f"  ldebm write {folder}{file} --num_samples 5")
    elif config.modality_class.reads_texts:
        trainer.say(f'  ldebm classify {folder} --text "a text of your own"')
    else:
        trainer.say(f"  python examples/synthetic.py {folder}")
    if config.has_symbols and config.modality_class.reads_texts:
        trainer.say(f"  ldebm explain {folder}{file}")
    trainer.say(f'  python -c "from ldebm_hf import LDEBMModel; LDEBMModel.from_pretrained({output_dir!r})"')


if __name__ == "__main__":
    run_script(main, CONTINUES)
