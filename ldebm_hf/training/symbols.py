"""The symbol of every training text for an epoch: its label where known, else the cluster of its posterior mean."""

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from ..clustering import ClusteringSettings, align_to_labels, cluster
from .batches import TokenizedSplit


def needs_clusters(labels: np.ndarray, settings: ClusteringSettings) -> bool:
    """Whether some text has no label and clustering may give it a symbol."""
    return settings.enabled and bool((labels < 0).any())


def assign_clusters(
    features: np.ndarray, labels: np.ndarray, num_symbols: int, settings: ClusteringSettings
) -> np.ndarray:
    """Cluster all texts, and name the clusters after the labels that are known.

    Args:
        features (`np.ndarray` of shape `(n, latent_size)`): posterior means in corpus order.
        labels (`np.ndarray` of shape `(n,)`): class ids, negative where unknown.

    Returns:
        `np.ndarray` of shape `(n,)`: a symbol for each text.
    """
    assignments = cluster(features, num_symbols, settings)
    return align_to_labels(assignments, labels, num_symbols) if (labels >= 0).any() else assignments


@torch.no_grad()
def posterior_means(model, split: TokenizedSplit, batch_size: int, accelerator: Accelerator) -> np.ndarray:
    """Posterior means of a split in corpus order, float32; every process encodes a share and gets all.

    Args:
        model (`LDEBMModel`): the unwrapped model; it is put into evaluation mode.

    Returns:
        `np.ndarray` of shape `(n, latent_size)`.
    """
    model.eval()
    index_lists = split.batches_by_length(batch_size)[accelerator.process_index :: accelerator.num_processes]
    batches = split.batches(index_lists, model.config.pad_token_id)
    parts = []
    for batch in tqdm(batches, desc="clustering", leave=False, disable=not accelerator.is_local_main_process):
        texts = (batch[name].to(accelerator.device) for name in ("input_ids", "attention_mask"))
        with accelerator.autocast():
            means = model.encode(*texts).posterior_mean
        parts.append((batch["indices"].numpy(), means.float().cpu().numpy()))
    features = np.empty((len(split), model.config.latent_size), dtype=np.float32)
    for indices, means in gather_object(parts):
        features[indices] = means
    return features
