"""Classes of texts without a label from a classifier over the vectors of a pretrained encoder."""

import numpy as np

from .naive_bayes import class_probabilities

STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse strengths of the penalty of logistic regression, of which cross-validation chooses one."""
NUM_FOLDS = 5


class EncoderClasses:
    """
    p(y|x) of texts from logistic regression over vectors of a pretrained encoder, for texts of which few have a label.

    The strength of the penalty is chosen by cross-validation on the labelled texts.

    Args:
        vectors (`np.ndarray` of shape `(n, size)`): Vectors of the texts to fit on.
        labels (`np.ndarray` of shape `(n,)`): Class ids of these texts, negative where unknown.
        num_classes (`int`): Number of classes. Classes without any label have probability 0.

    Raises:
        ValueError: If there are labels of fewer than two classes.
    """

    def __init__(self, vectors: np.ndarray, labels: np.ndarray, num_classes: int):
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        known = np.flatnonzero(labels >= 0)
        classes, counts = np.unique(labels[known], return_counts=True)
        if len(classes) < 2:
            raise ValueError(f"labels must be of at least two classes, got {classes.tolist()}")
        self.num_classes = num_classes
        model = make_pipeline(StandardScaler(with_std=False), LogisticRegression(max_iter=1000))
        folds = min(NUM_FOLDS, int(counts.min()))
        if folds >= 2:
            grid = {"logisticregression__C": STRENGTHS}
            model = GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds)
        self.model = model.fit(np.asarray(vectors[known]), labels[known])

    def features(self, vectors: np.ndarray) -> np.ndarray:
        """p(y|x) of texts with these vectors, float32 `(n, num_classes)`."""
        return class_probabilities(self.model, np.asarray(vectors), self.num_classes).astype(np.float32)
