"""How few remembered dialogues raise the BLEU of responses, where held-out dialogues repeat training dialogues.

    python benchmarks/repeated_dialogues.py outputs/tables/table4_daily_dialog/language_model_with_context/0

Of the held-out responses in dialogues that repeat training, a growing share is replaced by the answer that training
has to the most similar context, as if the model had remembered these dialogues; all others stay as the model wrote
them. The first row is the model, the last one a model that remembers all training dialogues and nothing else of it.
Prints a Markdown table.
"""

import argparse

import numpy as np

from ldebm_hf.baselines.nearest_context import nearest_context_responses
from ldebm_hf.commands.options import run_script
from ldebm_hf.experiments.checkpoint_scores import CheckpointScoring, load_corpus
from ldebm_hf.experiments.table_runs import load_for_scoring
from ldebm_hf.model.dialogue_turns import without_marker
from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.scores.conditional_generation import in_vocabulary
from ldebm_hf.scores.generated_texts import corpus_bleu
from ldebm_hf.scores.repeated_turns import repeats_training
from ldebm_hf.scores.responses import write_responses

SHARES = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


def with_remembered(
    written: list[str], remembered: list[str], repeated: np.ndarray, share: float, seed: int
) -> tuple[list[str], int]:
    """
    Responses of which a share of the repeated ones is remembered, and how many these are.

    Args:
        written (`list[str]`): The model's responses.
        remembered (`list[str]`): The responses from training.
        repeated (`np.ndarray` of `bool`): Which dialogues repeat training.
        share (`float`): Fraction of these that are remembered, 0 to 1; a larger share has all of a smaller one.
        seed (`int`): Seed of the choice.
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero(repeated))
    responses = list(written)
    chosen = order[: int(share * len(order))]
    for i in chosen:
        responses[i] = remembered[i]
    return responses, len(chosen)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a model of dialogues, with the settings.yaml of its training")
    parser.add_argument("--num_beams", type=int, default=1, help="beams of the model's responses (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of latents and of what is remembered (default 0)")
    options = parser.parse_args(arguments)
    model, tokenizer = load_for_scoring(options.checkpoint)
    corpus = load_corpus(options.checkpoint, CheckpointScoring())
    split = corpus.validation
    repeated = repeats_training(split, corpus.train.texts)
    written = write_responses(
        model, tokenizer, split, num_beams=options.num_beams, seed=options.seed, show_progress=True
    )
    references = [without_marker(text) for text in written.references]
    of_model = [without_marker(text) for text in written.responses]
    copied = in_vocabulary(tokenizer, nearest_context_responses(corpus.train, split.contexts))
    copied = [without_marker(text) for text in copied]
    columns: dict[str, list[str]] = {"remembered of repeated dialogues": [], "responses": [], "BLEU": []}
    for share in SHARES:
        responses, count = with_remembered(of_model, copied, repeated, share, options.seed)
        cells = f"{100 * share:g} %", f"{count:,} of {len(responses):,}", f"{corpus_bleu(responses, references):.2f}"
        for cells_of_column, text in zip(columns.values(), cells, strict=True):
            cells_of_column.append(text)
    print(markdown_table(columns))


if __name__ == "__main__":
    run_script(main)
