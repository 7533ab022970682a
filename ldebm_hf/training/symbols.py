"""The symbols of the training examples in an epoch.

An example with a label has its label as symbol. The others get one from clusters of posterior means, of words or of
vectors of a pretrained encoder, or from a classifier over words or vectors.
"""

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from ..model.modeling_ldebm import LDEBMModel
from ..pseudo_labels.encoder_classes import EncoderClasses
from ..pseudo_labels.geometric_clustering import (
    CLASS_FEATURES,
    ClusteringSettings,
    Clusters,
    check_clustering,
    matching_names,
)
from ..pseudo_labels.latent_semantics import LatentSemantics
from ..pseudo_labels.naive_bayes import WordClasses
from .batches import Examples, model_inputs, to_device
from .checkpoints import CheckpointStore
from .errors import DivergenceError
from .progress import Progress


class SymbolAssigner:
    """Gives the training examples their symbols, and keeps the clusters in the run's [`Progress`].

    Args:
        model ([`LDEBMModel`]): the unwrapped model.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): its tokenizer; `None` for points.
        sample (`Examples`): the examples that are clustered: all training examples, or the sample of a stream.
        settings (`ClusteringSettings`): see there.
        batch_size (`int`): number of examples that each process encodes at a time.
        accelerator (`Accelerator`), progress (`Progress`), checkpoints (`CheckpointStore`): the run's.
        show_progress (`bool`, *optional*, defaults to `True`): whether to show a progress bar.

    Raises:
        ValueError: clustering is enabled for a prior without symbols or cannot work with these settings, or there are
            too few texts, words or labels for it.
        ImportError: clustering is needed and faiss is not installed.
    """

    def __init__(
        self,
        model: LDEBMModel,
        tokenizer: PreTrainedTokenizerBase | None,
        sample: Examples,
        settings: ClusteringSettings,
        *,
        batch_size: int,
        accelerator: Accelerator,
        progress: Progress,
        checkpoints: CheckpointStore,
        show_progress: bool = True,
    ):
        self.model, self.sample, self.settings, self.batch_size = model, sample, settings, batch_size
        self.accelerator, self.progress, self.checkpoints = accelerator, progress, checkpoints
        self.show_progress = show_progress
        config = model.config
        if settings.enabled and not config.has_symbols:
            raise ValueError(
                f"clustering.enabled=true needs a prior with symbols, and model.prior={config.prior} has none"
            )
        self.fixed_features: Callable[[Examples], np.ndarray] | None = None
        self.is_needed = config.has_symbols and settings.enabled and bool((sample.labels < 0).any())
        if self.is_needed:
            check_clustering(settings, config.total_latent_size)
            self.fixed_features = fit_features(sample, tokenizer, config.num_labels, settings)

    def start_epoch(self) -> dict[str, float]:
        """Cluster the sample if some example needs it.

        Returns:
            `dict` of `clusters_used` and, from the second epoch on, `cluster_stability`; empty without clusters.
        """
        if not self.is_needed:
            return {}
        progress, labels = self.progress, self.sample.labels
        previous = progress.assignments.numpy() if len(progress.assignments) else None
        # These features never change, and K-means that starts at the same texts would find the same clusters again.
        if self.fixed_features is None or previous is None or self.settings.initialization == "previous":
            features = self.features(self.sample)
            clusters, assigned = fit_clusters(features, labels, previous, self.model.config.num_labels, self.settings)
            progress.clusters, progress.assignments = clusters.state_dict(), torch.from_numpy(assigned)
        assignments = progress.assignments.numpy()
        values = {"clusters_used": float(len(np.unique(assignments)))}
        if previous is not None:
            values["cluster_stability"] = stability(assignments, previous, labels)
        return values

    def assign(self, split: Examples) -> torch.Tensor:
        """The cluster of every example, `(n,)`; in a stream by the features that its texts have now."""
        if split is self.sample or not self.progress.clusters:
            return self.progress.assignments
        clusters = Clusters.from_state_dict(self.progress.clusters)
        return torch.from_numpy(clusters.assign(self.features(split)))

    def features(self, split: Examples) -> np.ndarray:
        """What is clustered, float32 `(n, size)`.

        Raises:
            DivergenceError: posterior means that are not finite.
        """
        if self.fixed_features is not None:
            return self.fixed_features(split)
        means = posterior_means(self.model, split, self.batch_size, self.accelerator, self.show_progress)
        wrong = means[~np.isfinite(means)]
        if len(wrong):
            raise DivergenceError("posterior_mean", self.progress.step, float(wrong[0]), self.checkpoints.last_good)
        return means


def symbols_of(labels: np.ndarray, assignments: torch.Tensor) -> np.ndarray:
    """What the classifier is trained to predict, `(n,)`: the label, else the cluster, else -100 (unknown).

    Args:
        labels (`np.ndarray` of shape `(n,)`): class ids, negative where unknown.
        assignments (`torch.LongTensor` of shape `(n,)`): clusters; empty if there are none.
    """
    if not len(assignments):
        return labels
    return np.where(labels >= 0, labels, assignments.numpy())


def fit_features(
    sample: Examples, tokenizer: PreTrainedTokenizerBase, num_symbols: int, settings: ClusteringSettings
) -> Callable[[Examples], np.ndarray] | None:
    """The features that the settings ask for, if they do not depend on the model, as a function of examples.

    What they are learned from are training texts. `None` for posterior means, which change with the model.

    Raises:
        ValueError: there are too few texts, words or labels.
    """
    kind = settings.features
    if kind == "words":
        words = LatentSemantics(sample.token_ids, tokenizer.all_special_ids, seed=settings.seed)
        return lambda split: words.features(split.token_ids)
    if kind == "encoder":
        return lambda split: np.asarray(split.features)
    if kind not in CLASS_FEATURES:
        return None
    try:
        if kind == "word_classes":
            classes = WordClasses(sample.token_ids, sample.labels, num_symbols, tokenizer.all_special_ids)
            return lambda split: classes.features(split.token_ids)
        vectors, labels = np.asarray(sample.features), np.asarray(sample.labels)
        classes = EncoderClasses(vectors, labels, num_symbols, sample.token_ids, tokenizer.all_special_ids)
        return lambda split: classes.features(split.features, split.token_ids)
    except ValueError as error:
        other = "words, as in recipes/topics.yaml" if kind == "word_classes" else "encoder"
        raise ValueError(
            f"clustering.features={kind} learns from the labels of the training texts (of a stream: of its "
            f"sample of data.reservoir_size texts): {error}. For texts without labels use --clustering.features "
            f"{other}"
        ) from error


def fit_clusters(
    features: np.ndarray,
    labels: np.ndarray,
    previous: np.ndarray | None,
    num_symbols: int,
    settings: ClusteringSettings,
) -> tuple[Clusters, np.ndarray]:
    """Cluster examples, and number the clusters after the previous epoch's and the known labels.

    Args:
        features (`np.ndarray` of shape `(n, size)`): what is clustered, in corpus order. With
            `features="word_classes"` or `"encoder_classes"` these are p(y|x), and the likeliest class is the cluster.
        labels (`np.ndarray` of shape `(n,)`): class ids, negative where unknown. They take precedence over `previous`.
        previous (`np.ndarray` of shape `(n,)`, *optional*): each example's cluster in the previous epoch.

    Returns:
        [`Clusters`], and each example's cluster, `np.ndarray` of shape `(n,)`.
    """
    if settings.features in CLASS_FEATURES:
        clusters = Clusters.corners(num_symbols)
        return clusters, clusters.assign(features)
    clusters = Clusters.fit(features, num_symbols, settings, previous)
    assignments = clusters.assign(features)
    references = []
    if previous is not None and settings.match_previous:
        references.append(previous)
    if (labels >= 0).any():
        references.append(labels)
    for reference in references:
        names = matching_names(assignments, reference, num_symbols)
        clusters, assignments = clusters.renamed(names), names[assignments]
    return clusters, assignments


def stability(assignments: np.ndarray, previous: np.ndarray, labels: np.ndarray) -> float:
    """The fraction of examples without a label that have the same cluster as in the previous epoch."""
    return float((assignments == previous)[labels < 0].mean())


@torch.no_grad()
def posterior_means(
    model: LDEBMModel, split: Examples, batch_size: int, accelerator: Accelerator, show_progress: bool = True
) -> np.ndarray:
    """The posterior means of a split in corpus order. The processes share the work, and each gets all of them.

    Args:
        model ([`LDEBMModel`]): the unwrapped model; it is put into evaluation mode.
        batch_size (`int`): number of examples that each process encodes at a time.
        accelerator (`Accelerator`): the run's.
        show_progress (`bool`, *optional*, defaults to `True`): whether to show a progress bar.

    Returns:
        `np.ndarray` of shape `(n, total_latent_size)`, float32.
    """
    model.eval()
    index_lists = split.batches_by_length(batch_size)[accelerator.process_index :: accelerator.num_processes]
    batches = tqdm(
        split.batches(index_lists),
        total=len(index_lists),
        desc="clustering",
        leave=False,
        disable=not (show_progress and accelerator.is_local_main_process),
    )
    encoded = []
    for batch in batches:
        with accelerator.autocast():
            means = model.encode(**model_inputs(to_device(batch, accelerator.device))).posterior_mean
        encoded.append((batch["indices"].numpy(), means.float().cpu().numpy()))
    features = np.empty((len(split), model.config.total_latent_size), dtype=np.float32)
    for indices, means in gather_object(encoded):
        features[indices] = means
    return features
