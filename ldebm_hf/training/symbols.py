"""The symbol of every training example for an epoch: its label if known, else the cluster of its posterior mean, or of
its words."""

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from ..pseudo_labels.geometric_clustering import ClusteringSettings, Clusters, matching_names
from ..pseudo_labels.latent_semantics import LatentSemantics
from ..pseudo_labels.naive_bayes import WordClasses
from .batches import Examples, model_inputs, to_device


def needs_clusters(labels: np.ndarray, settings: ClusteringSettings) -> bool:
    """Whether some example has no label and clustering may give it a symbol."""
    return settings.enabled and bool((labels < 0).any())


def words_to_cluster(
    sample: Examples, tokenizer, num_symbols: int, settings: ClusteringSettings
) -> LatentSemantics | WordClasses | None:
    """What describes texts by their words where the settings say so, fitted on training texts or a stream's sample of
    them; else `None`.

    Raises:
        ValueError: too few texts, words or labels for it.
    """
    if settings.features == "words":
        return LatentSemantics(sample.token_ids, tokenizer.all_special_ids, seed=settings.seed)
    if settings.features != "word_classes":
        return None
    try:
        return WordClasses(sample.token_ids, sample.labels, num_symbols, tokenizer.all_special_ids)
    except ValueError as error:
        raise ValueError(
            f"clustering.features=word_classes: {error} among the training texts (of a stream among the sample of "
            "data.reservoir_size); texts without labels are for --clustering.features words, as in recipes/topics.yaml"
        ) from error


def fit_clusters(
    means: np.ndarray,
    labels: np.ndarray,
    previous: np.ndarray | None,
    num_symbols: int,
    settings: ClusteringSettings,
) -> tuple[Clusters, np.ndarray]:
    """Cluster examples; name the clusters after last epoch's if the settings say so, and after labels that are known.

    Args:
        means (`np.ndarray` of shape `(n, size)`): posterior means, or vectors of words, in corpus order; with
            `features="word_classes"` p(y|x), whose likeliest class is the cluster.
        labels (`np.ndarray` of shape `(n,)`): class ids, negative where unknown. They decide over `previous`.
        previous (`np.ndarray` of shape `(n,)`, *optional*): each example's cluster in the last epoch.

    Returns:
        `Clusters`, and each example's cluster, `np.ndarray` of shape `(n,)`.
    """
    if settings.features == "word_classes":
        clusters = Clusters.corners(num_symbols)
        return clusters, clusters.assign(means)
    clusters = Clusters.fit(means, num_symbols, settings, previous)
    assignments = clusters.assign(means)
    references = [previous] if previous is not None and settings.match_previous else []
    references += [labels] if (labels >= 0).any() else []
    for reference in references:
        names = matching_names(assignments, reference, num_symbols)
        clusters, assignments = clusters.renamed(names), names[assignments]
    return clusters, assignments


def stability(assignments: np.ndarray, previous: np.ndarray, labels: np.ndarray) -> float:
    """The share of the examples without a label that keep their cluster."""
    return float((assignments == previous)[labels < 0].mean())


@torch.no_grad()
def posterior_means(model, split: Examples, batch_size: int, accelerator: Accelerator) -> np.ndarray:
    """Posterior means of a split in corpus order, float32; every process encodes a share and gets all.

    Args:
        model (`LDEBMModel`): the unwrapped model; it is put into evaluation mode.

    Returns:
        `np.ndarray` of shape `(n, total_latent_size)`.
    """
    model.eval()
    index_lists = split.batches_by_length(batch_size)[accelerator.process_index :: accelerator.num_processes]
    batches = tqdm(
        split.batches(index_lists),
        total=len(index_lists),
        desc="clustering",
        leave=False,
        disable=not accelerator.is_local_main_process,
    )
    parts = []
    for batch in batches:
        with accelerator.autocast():
            means = model.encode(**model_inputs(to_device(batch, accelerator.device))).posterior_mean
        parts.append((batch["indices"].numpy(), means.float().cpu().numpy()))
    features = np.empty((len(split), model.config.total_latent_size), dtype=np.float32)
    for indices, means in gather_object(parts):
        features[indices] = means
    return features
