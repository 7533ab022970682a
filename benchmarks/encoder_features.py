"""What the vectors of a frozen encoder are worth: as clusters, and as classes from few labels.

    python benchmarks/encoder_features.py clusters --data agnews --data_dir data/agnews
    python benchmarks/encoder_features.py clusters --data daily_dialog --data_dir data/daily_dialog --attribute act
    python benchmarks/encoder_features.py classes --data agnews --data_dir data/agnews --seeds 0,1,2,3,4

Clusters and classes are fitted on 20,000 training texts and scored on the validation split, in percent of V-measure
and of accuracy. Vectors are computed once and kept in `--features_dir`.
"""

from argparse import Namespace
from collections import Counter, defaultdict

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import v_measure_score

from ldebm_hf.commands.options import list_of, make_parser, run_script
from ldebm_hf.data import Corpus, load_corpus
from ldebm_hf.data.splits import keep_labels
from ldebm_hf.pseudo_labels.encoder_classes import EncoderClasses
from ldebm_hf.pseudo_labels.geometric_clustering import ClusteringSettings, Clusters
from ldebm_hf.pseudo_labels.naive_bayes import WordClasses
from ldebm_hf.text.subword_tokenization import build_subword_tokenizer
from ldebm_hf.training.features import frozen_features

NUM_TEXTS = 20_000
NETWORK_EPOCHS = 10
MANY_SYMBOLS = 30
"""Scored beside as many symbols as there are classes: what the recipes ask for."""


def projected(train: np.ndarray, texts: np.ndarray, num_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of both, without whitening."""
    components = PCA(num_components, random_state=0).fit(train)
    return components.transform(train), components.transform(texts)


def print_clusters(options: Namespace, corpus: Corpus, train: np.ndarray, texts: np.ndarray) -> None:
    """Print the V-measure of K-means on the vectors as they are, scaled and projected."""
    split, names = corpus.validation, corpus.label_names
    classes = np.asarray(split.labels)
    if options.attribute:
        classes, names = np.asarray(split.attributes[options.attribute]), corpus.attribute_names[options.attribute]
    known = classes >= 0
    centred = (train - train.mean(0), texts - train.mean(0))
    plain = ClusteringSettings(features="encoder")
    rows = {
        "one start": ((train, texts), ClusteringSettings(features="encoder", num_starts=1)),
        "ten starts": ((train, texts), plain),
        "centred, unit length": (centred, ClusteringSettings(features="encoder", normalize=True)),
        **{f"{size} components": (projected(train, texts, size), plain) for size in (20, 50, 100)},
        **{
            f"{size} components, whitened": (
                (train, texts),
                ClusteringSettings(features="whitened", num_components=size, num_starts=10),
            )
            for size in (3, 20, 50)
        },
    }
    for name, ((fitted, scored), settings) in rows.items():
        cells = []
        for num_symbols in (len(names), MANY_SYMBOLS):
            values = []
            for seed in options.seeds:
                settings.seed = seed
                symbols = Clusters.fit(fitted, num_symbols, settings).assign(scored)
                values.append(100 * v_measure_score(classes[known], symbols[known]))
            cells.append(f"{num_symbols} symbols {mean_and_spread(values)}")
        print(f"{name}: {', '.join(cells)}", flush=True)


def classes_by_network(vectors: np.ndarray, targets: np.ndarray, texts: np.ndarray, seed: int) -> np.ndarray:
    """
    Teach p(y|x) to a network of one hidden layer, which reads the vectors alone, and return the classes of texts.

    Args:
        vectors (`np.ndarray` of shape `(n, size)`): Vectors of the texts to learn from.
        targets (`np.ndarray` of shape `(n, num_classes)`): Their probabilities of classes.
        texts (`np.ndarray` of shape `(m, size)`): Vectors of the texts to classify.
        seed (`int`): Decides the first weights, the order of texts and what dropout leaves out.
    """
    torch.manual_seed(seed)
    scale = vectors.std()
    inputs, probabilities = torch.tensor(vectors / scale), torch.tensor(targets, dtype=torch.float32)
    layers = [torch.nn.Linear(inputs.shape[1], 256), torch.nn.GELU(), torch.nn.Dropout(0.2)]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(256, targets.shape[1]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(NETWORK_EPOCHS):
        for rows in torch.randperm(len(inputs)).split(64):
            torch.nn.functional.cross_entropy(network(inputs[rows]), probabilities[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
    with torch.no_grad():
        return network.eval()(torch.tensor(texts / scale)).argmax(1).numpy()


def print_classes(options: Namespace, corpus: Corpus, train: np.ndarray, texts: np.ndarray) -> None:
    """Print the accuracy of regression, of words, of [`EncoderClasses`] and of networks taught by these, for several
    numbers of labels."""
    tokenizer = build_subword_tokenizer(corpus.train.texts, vocab_size=10_004, max_length=128)
    tokens, scored = (
        tokenizer(split.texts, truncation=True)["input_ids"] for split in (corpus.train, corpus.validation)
    )
    truth, num_classes = np.asarray(corpus.validation.labels), len(corpus.label_names)
    for count in options.label_counts:
        accuracies: defaultdict[str, list[float]] = defaultdict(list)
        chosen: Counter = Counter()
        for seed in options.seeds:
            labels = np.asarray(keep_labels(corpus.train, count, seed).labels)
            classes = EncoderClasses(train, labels, num_classes, tokens, tokenizer.all_special_ids)
            words = WordClasses(tokens, labels, num_classes, tokenizer.all_special_ids)
            chosen[tuple(classes.weights)] += 1
            taught = classes.features(train, tokens)
            taught[labels >= 0] = np.eye(num_classes)[labels[labels >= 0]]
            likeliest = np.eye(num_classes)[taught.argmax(1)]
            found = {
                "words": words.features(scored).argmax(1),
                "regression": classes.regression.predict(texts - classes.graph.center),
                "encoder classes": classes.features(texts, scored).argmax(1),
                "a network taught their likeliest class": classes_by_network(train, likeliest, texts, seed),
                "a network taught their probabilities": classes_by_network(train, taught, texts, seed),
            }
            for name, predicted in found.items():
                accuracies[name].append(100 * float((predicted == truth).mean()))
        cells = [f"{name} {mean_and_spread(values)}" for name, values in accuracies.items()]
        print(f"{count} labels: {', '.join(cells)}; weights of words and own {dict(chosen)}", flush=True)


def mean_and_spread(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def main(arguments: list[str] | None = None) -> None:
    parser = make_parser(__doc__, "clusters|classes --data NAME [options]")
    parser.add_argument("what", choices=("clusters", "classes"), help="what is compared")
    parser.add_argument("--data", required=True, help="a data set with labels")
    parser.add_argument("--data_dir", metavar="FOLDER", help="folder with the release files of the data set")
    parser.add_argument("--attribute", metavar="NAME", help="score clusters against this attribute, not the label")
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="folder or Hub id")
    parser.add_argument("--features_dir", metavar="FOLDER", help="where vectors are kept")
    parser.add_argument("--seeds", type=list_of(int), default=[0, 1, 2], metavar="A,B", help="default 0,1,2")
    parser.add_argument("--label_counts", type=list_of(int), default=[100, 200, 500, 2500], metavar="A,B")
    options = parser.parse_args(arguments)
    corpus = load_corpus(options.data, data_dir=options.data_dir, max_train_examples=NUM_TEXTS)
    train, texts = (
        np.asarray(frozen_features(split.texts, options.encoder, cache_dir=options.features_dir))
        for split in (corpus.train, corpus.validation)
    )
    (print_clusters if options.what == "clusters" else print_classes)(options, corpus, train, texts)


if __name__ == "__main__":
    run_script(main)
