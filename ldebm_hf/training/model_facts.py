"""What the settings of a run must know about modalities and priors before there is a model."""

from ..model.configuration_ldebm import LDEBMConfig

TEXTS = ("text", "document")
MODALITIES_WITH = {
    "data.streaming": TEXTS,
    "data.attribute_columns": TEXTS,
    "data.titles": TEXTS,
    "data.min_words": TEXTS,
    "data.stop_words": ("document",),
    "data.point_columns": ("point",),
    "training.initial_words": ("document",),
}
"""The modalities that a setting is for, by its full name. Other settings are for all modalities."""
WORD_FEATURES = ("words", "word_classes")
"""The values of `clustering.features` that need words."""


def default_text_sizes(modality: str) -> dict[str, int]:
    """Vocabulary size and greatest length, as `data` settings, for texts of this modality."""
    if modality == "document":
        return {"vocab_size": 30004, "max_length": 512}
    return {"vocab_size": 10000, "max_length": 40}


def clusters_by_default(prior: str, num_levels: int, features: str) -> bool:
    """Whether examples without a label get a symbol from clustering if `clustering.enabled` is not given.

    Clusters of latents or words are part of the diffusion model alone; the classes of naive Bayes
    (`features="word_classes"`) suit every prior with symbols.
    """
    if features == "word_classes":
        return LDEBMConfig(prior=prior).has_symbols
    return prior == "diffusion" and num_levels > 1
