"""Training on a stream: as on a corpus in memory where it fits into one part; every text once; resumed exactly."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from clean_processes import run_python
from tiny_runs import assert_same_weights, tiny_corpus, tiny_stream, tiny_trainer, weights

from ldebm_hf import build_tokenizer
from ldebm_hf.data import Split, streaming
from ldebm_hf.training.shards import InMemoryExamples, StreamedTexts

pytest.importorskip("datasets", reason="streaming reads with datasets")

SHARDS_OF_16 = {"shuffle_buffer_size": 20}  # two steps of 8


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW_SIZE", 7)


@pytest.mark.parametrize("labels", ["all", "some", "no"])
def test_stream_that_is_one_shard_trains_as_a_corpus_in_memory(tmp_path, labels):
    corpus = tiny_corpus(num_train=43, labels=labels)
    streamed = tiny_trainer(tmp_path / "stream", tiny_stream(tmp_path, corpus))
    streamed.train()
    if corpus.train.classes:  # a stream's classes are in alphabetical order
        ids = [sorted(corpus.label_names).index(name) for name in corpus.label_names]
        for split in corpus.splits.values():
            split.labels = [ids[label] if label >= 0 else label for label in split.labels]
        corpus.label_names = sorted(corpus.label_names)
    assert (streamed.steps_per_epoch, streamed.progress.step) == (6, 12)
    in_memory = tiny_trainer(tmp_path / "memory", corpus)
    in_memory.train()
    assert_same_weights(weights(streamed), weights(in_memory))


def record_batches(trainer) -> list[tuple[int, ...]]:
    """Token ids of every text that the trainer's model sees in training, in order."""
    seen = []

    def hook(module, arguments, keywords):
        if module.training:
            rows = zip(keywords["input_ids"].tolist(), keywords["attention_mask"].sum(1).tolist(), strict=True)
            seen.extend(tuple(row[:length]) for row, length in rows)

    trainer.model.register_forward_pre_hook(hook, with_kwargs=True)
    return seen


def test_every_text_of_the_stream_is_trained_on_once_an_epoch(tmp_path):
    corpus = tiny_corpus(num_train=43, labels="no")
    trainer = tiny_trainer(
        tmp_path / "run",
        tiny_stream(tmp_path, corpus),
        data=SHARDS_OF_16,
        clustering={"balanced_resampling": False},
        num_train_epochs=2,
    )
    seen = record_batches(trainer)
    trainer.train()
    everything = Counter(tuple(ids) for ids in trainer.tokenizer(corpus.train.texts)["input_ids"])
    assert Counter(seen[:43]) == Counter(seen[43:]) == everything
    assert seen[:43] != seen[43:], "another order in every epoch"
    assert Counter(seen[:16]) == Counter(seen[43:59]), "shuffled within shards"


# Within a shard, at its end, in the last shard, at the end of an epoch, in the next.
@pytest.mark.parametrize(("labels", "steps"), [("some", (1, 6)), ("no", (1, 2, 5, 6, 9))])
def test_stream_is_resumed_anywhere_with_the_very_same_weights(tmp_path, labels, steps):
    corpus = tiny_stream(tmp_path, tiny_corpus(num_train=43, labels=labels))
    settings = {"data": SHARDS_OF_16, "num_train_epochs": 3, "save_steps": 1, "save_total_limit": 99}
    whole = tiny_trainer(tmp_path / "run", corpus, **settings)
    seen = record_batches(whole)
    whole.train()
    end = weights(whole)
    for step in steps:
        path = whole.folder.checkpoints / f"step-{step:08d}"
        resumed = tiny_trainer(tmp_path / "run", corpus, resume=str(path), **settings)
        seen_again = record_batches(resumed)
        resumed.train()
        assert_same_weights(weights(resumed), end)
        assert seen_again == seen[-len(seen_again) :]


def test_what_is_not_read_is_counted_in_the_sample(tmp_path):
    corpus = tiny_stream(tmp_path, tiny_corpus(num_train=43, labels="no"))
    assert tiny_trainer(tmp_path / "run", corpus).notes == []
    corpus.train.sample = corpus.train.sample.select(range(30))
    corpus.train.sample.texts[0] = "zzz"
    words = sum(len(text.split()) for text in corpus.train.sample.texts)
    trainer = tiny_trainer(tmp_path / "run", corpus, data=SHARDS_OF_16)
    assert trainer.notes == [
        f"sampled training texts: 1 of {words} words ({100 / words:.2g} %) are unknown to the model, in 1 of 30 "
        "texts; 1 of 30 texts have no word that the model knows (data.vocab_size, data.max_length)"
    ]


def test_other_stream_or_shards_are_not_resumed(tmp_path):
    corpus = tiny_stream(tmp_path, tiny_corpus(num_train=43, labels="no"))
    tiny_trainer(tmp_path / "run", corpus, data=SHARDS_OF_16, max_steps=2).train()
    with pytest.raises(ValueError, match="the training examples was .* in parts of 16' and is now .* in parts of 24'"):
        tiny_trainer(tmp_path / "run", corpus, data={"shuffle_buffer_size": 24}, max_steps=2, resume="latest").train()


def test_symbols_of_streamed_texts_are_their_nearest_clusters(tmp_path):
    """The reservoir holds 30 of 43 texts; those of a shard get the cluster of the posterior means they have now."""
    corpus = tiny_stream(tmp_path, tiny_corpus(num_train=43, labels="no"))
    corpus.train.sample = corpus.train.sample.select(range(30))
    trainer = tiny_trainer(tmp_path / "run", corpus, data=SHARDS_OF_16)
    trainer.symbols.start_epoch()
    assert len(trainer.progress.assignments) == 30
    first = next(trainer.examples.shards(0))
    assert first.split.token_ids == trainer.train_set.token_ids[:16]
    assert torch.equal(trainer.symbols.assign(first.split), trainer.progress.assignments[:16])


class Windows:
    """A stream of the texts `0 0`, `1 1`, … with their numbers as labels, read in windows of 3, 5, 1, 7 and 4."""

    window_sizes = [3, 5, 1, 7, 4]
    digest = "the stream"

    def __init__(self):
        self.sample = Split(["0 0", "19 19"], [0, 19])
        self.first_windows: list[int] = []

    def __len__(self) -> int:
        return sum(self.window_sizes)

    def windows(self, first: int):
        self.first_windows.append(first)
        ends = np.cumsum(self.window_sizes)
        for end, size in list(zip(ends, self.window_sizes, strict=True))[first:]:
            numbers = range(end - size, end)
            yield Split([f"{number} {number}" for number in numbers], list(numbers))


def streamed(shard_size: int, step_size: int = 2, **options) -> StreamedTexts:
    tokenizer = build_tokenizer([str(number) for number in range(20)])
    return StreamedTexts(
        Windows(), tokenizer, max_length=options.pop("max_length", 9), step_size=step_size, shard_size=shard_size,
        **options,
    )  # fmt: skip


@pytest.mark.parametrize(("shard_size", "real_size"), [(4, 4), (5, 4), (1, 2), (20, 20), (99, 98), (6, 6)])
@pytest.mark.parametrize("step", range(10))
def test_rest_of_an_epoch_begins_with_the_shard_of_the_step(shard_size, real_size, step):
    """All shards hold the same whole number of steps, at least one, except for the last; whatever the windows are."""
    examples = streamed(shard_size)
    assert len(examples) == 20 and examples.shard_size == real_size and examples.steps_per_shard == real_size // 2
    shards = list(examples.shards(step))
    first = step // (real_size // 2)
    assert [shard.number for shard in shards] == list(range(first, -(-20 // real_size)))
    assert [shard.first_step for shard in shards] == [shard.number * real_size // 2 for shard in shards]
    for shard in shards:
        numbers = range(20)[shard.number * real_size : (shard.number + 1) * real_size]
        assert shard.split.labels.tolist() == list(numbers)
        tokens = examples.tokenizer([f"{number} {number}" for number in numbers])["input_ids"]
        assert shard.split.token_ids == tokens and shard.split.features is None
    ends = np.cumsum(Windows.window_sizes)
    assert examples.split.first_windows == [int((ends <= first * real_size).sum())], "no window is read in vain"


def test_digest_of_a_stream_depends_on_the_division_into_shards():
    four, five, six = (streamed(size).digest for size in (4, 5, 6))
    assert four == five != six
    sample = streamed(4).sample
    assert four == f"the stream {sample.digest} in parts of 4" and sample.labels.tolist() == [0, 19]


def test_streamed_texts_are_cut_and_get_their_vectors():
    class Cache:
        def of_tokens(self, token_ids):
            return np.array([[len(ids)] for ids in token_ids], dtype=np.float32)

    examples = streamed(4, max_length=3, features=Cache())
    assert examples.sample.features.tolist() == [[3], [3]]
    shard = next(examples.shards(0))
    assert [len(ids) for ids in shard.split.token_ids] == [3] * 4 and shard.split.features.tolist() == [[3]] * 4


def test_reader_counts_the_sample_alone():
    class Reader:
        message, counted = "counted", []

        def count(self, texts, batch):
            self.counted.append(texts)

    examples = streamed(4, reader=Reader())
    assert Reader.counted == [["0 0", "19 19"]] and examples.sample.unread == "counted"
    assert [shard.split.unread for shard in examples.shards(0)] == [""] * 5 and len(Reader.counted) == 1


def test_examples_in_memory_are_one_shard_whatever_the_step():
    split = streamed(4).sample
    examples = InMemoryExamples(split)
    assert len(examples) == 2 and examples.sample is split and examples.digest == split.digest
    for step in (0, 7):
        ((number, first_step, shard),) = examples.shards(step)
        assert (number, first_step) == (0, 0) and shard is split


MEASURE = """
import re, sys
from pathlib import Path
sys.path[:0] = {path!r}
from tiny_runs import tiny_trainer
from ldebm_hf.data import load_corpus
corpus = load_corpus({source!r}, streaming=True, validation_size=50, reservoir_size=1000)
tiny_trainer(Path({output!r}), corpus, max_steps=3, data={{"shuffle_buffer_size": 2000}}).train()
print(len(corpus.train), int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """With 40,000 more texts it grows by less than 60 MB; 300,000 more took 10 to 20 MB, and 1,100 MB in memory."""
    peaks = []
    for count in (10_000, 50_000):
        rng, source = np.random.default_rng(0), tmp_path / f"{count}.txt"
        words = np.array([f"word{i}" for i in range(500)])
        source.write_text("".join(" ".join(row) + "\n" for row in words[rng.integers(0, 500, (count, 10))]))
        code = MEASURE.format(path=sys.path, source=str(source), output=str(tmp_path / f"run{count}"))
        run = run_python(["-c", code])
        assert run.returncode == 0, run.stderr
        size, peak = map(int, run.stdout.splitlines()[-1].split())
        assert size == count - 50
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60, peaks
