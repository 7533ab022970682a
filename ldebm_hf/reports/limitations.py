"""What a model card says about limitations and risks."""

from __future__ import annotations

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
    vocabulary = f"The model's vocabulary has {config.vocab_size:,} entries; any other word is unknown to it"
    if length := record.setting("data.max_length"):
        vocabulary += f", and {unit}s are cut to {length} tokens"
    risks.append(vocabulary + ".")
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
