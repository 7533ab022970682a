"""What a model card says about limitations and risks."""

from __future__ import annotations

import json
from typing import Any

from .data_origin import Origin
from .run_record import RunRecord


def limitations(record: RunRecord, origin: Origin) -> list[str]:
    """Paragraphs on what the model cannot do, what it inherits from its data, and what it must not be used for."""
    config = record.config
    if not config.modality_class.reads_texts:
        risks = ["The model is a density of points in the plane for the comparison of priors, and has no other use."]
        return risks + ([origin.bias] if origin.bias else [])
    unit, risks = config.modality, []
    if origin.bias:
        risks.append(origin.bias)
    else:
        risks.append(
            "Nobody has examined the training texts for this card. Prejudice, untruth and personal matters in them "
            "may reappear in what the model writes, and in which symbol it assigns to a text."
        )
    tokenizer = _tokenizer_of(record)
    reads_subwords = tokenizer.get("model", {}).get("byte_fallback", False)
    vocabulary = f"The model's vocabulary has {config.vocab_size:,} entries; "
    if reads_subwords:
        vocabulary += "other words are read in pieces, so none is unknown, but rare ones may mean nothing to it"
    else:
        vocabulary += "any other word is unknown to it"
    if length := record.setting("data.max_length"):
        vocabulary += f", and {unit}s are cut to {length} tokens"
    vocabulary += "."
    if config.modality_class.is_autoregressive and not reads_subwords and tokenizer.get("decoder"):
        vocabulary += (
            " Its tokenizer brings texts as people write them, with capitals and marks, into the form of the training "
            "texts. Misspelt words and emoji are unknown or left out."
        )
    risks.append(vocabulary)
    if config.modality_class.is_autoregressive:
        risks.append(
            "What it writes is made up: sentences can be ungrammatical, untrue or offensive, and can repeat training "
            "texts word for word. Nothing filters them. They must not be presented as somebody's words or as "
            "information, nor be sent out unread."
        )
    if config.has_symbols:
        num_labelled = record.facts.get("corpus", {}).get("splits", {}).get("train", {}).get("labelled")
        meaning = ""
        if num_labelled == 0:
            meaning = (
                "Symbols were found without labels, and their names say only which words are frequent in their texts. "
            )
        risks.append(
            f"{meaning}The symbol of a text is an estimate, which can be wrong even if its probability is near 1, "
            "above all for texts unlike the training texts. It must not be the basis of a decision about a person."
        )
    risks.append(
        "It is an object of research, not an assistant: it must not be used for advice (medical, legal, financial), "
        "for judging, profiling or imitating persons, or where an error does harm."
    )
    return risks


def _tokenizer_of(record: RunRecord) -> dict[str, Any]:
    """The contents of the run's `tokenizer.json`; empty if there is none."""
    file = record.folder / "tokenizer.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}
