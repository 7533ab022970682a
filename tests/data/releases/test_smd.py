import json
import os
from collections import Counter
from pathlib import Path

import pytest

from ldebm_hf.data import NO_LABEL, check_corpus, load_corpus
from ldebm_hf.data.releases.smd import read_smd
from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.training import load_settings

RECIPE = RECIPES / "smd.yaml"


def entry(intent, *texts):
    turns = [
        {"turn": ("driver", "assistant")[i % 2], "data": {"end_dialogue": False, "utterance": text}}
        for i, text in enumerate(texts)
    ]
    return {"dialogue": turns, "scenario": {"task": {"intent": intent}, "kb": {"items": None}, "uuid": "1"}}


WEATHER = entry("weather", "Will it rain?", "No, it won't.", "")
NAVIGATE = entry("navigate", "Take me home", "Done. ")


@pytest.fixture
def release(write, tmp_path):
    """Write a split as the release has it and return the folder."""

    def build(train, dev=(NAVIGATE,), test=None):
        for name, dialogues in {"train": train, "dev": dev, "test": test}.items():
            if dialogues is not None:
                write(f"kvret_{name}_public.json", json.dumps(dialogues))
        return tmp_path

    return build


def test_release_layout(release):
    folder = release([WEATHER, NAVIGATE, entry("schedule")])
    corpus = load_corpus("smd", data_dir=folder)
    assert corpus.train.texts == ["Will it rain?", "No, it won't.", "Take me home", "Done."]
    assert corpus.train.attributes == {"intent": [2, 2, 0, 0], "speaker": [0, 1, 0, 1]}
    assert corpus.attribute_names == {
        "intent": ["navigate", "schedule", "weather"],
        "speaker": ["driver", "assistant"],
    }
    assert corpus.train.labels == [NO_LABEL] * 4 and corpus.test is None
    assert corpus.notes[:3] == [
        "kvret_train_public.json: 1 dialogues without a turn left out",
        "train: 2 dialogues of 5 utterances, each of them a text",
        "smd (train): 1 empty texts dropped",
    ]
    assert "validation: 1 of 1 dialogues also stand in train (kept)" in corpus.notes
    assert load_corpus("smd", data_dir=release([WEATHER], test=[NAVIGATE])).test.texts == ["Take me home", "Done."]


def test_dialogues_with_speakers(release):
    dialogues = read_smd(release([WEATHER]), notes=[])
    assert [turn.speaker for turn in dialogues["train"][0].turns] == ["driver", "assistant", "driver"]
    assert dialogues["validation"][0].texts == ("Take me home", "Done. ")


def test_an_attribute_as_labels(release):
    corpus = load_corpus("smd", data_dir=release([WEATHER, NAVIGATE]), label_column="speaker")
    assert corpus.label_names == ["driver", "assistant"] and corpus.train.labels == [0, 1, 0, 1]
    with pytest.raises(ValueError, match="no attribute 'act' .* there are: 'intent', 'speaker'"):
        load_corpus("smd", data_dir=release([WEATHER]), label_column="act")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([NAVIGATE, entry("lunch", "a")], "train_public.json, dialogue 2: intent must be one of .* found 'lunch'"),
        ([{"dialogue": []}], "dialogue 1: expected scenario.task.intent and dialogue.*KeyError"),
        ([{**NAVIGATE, "dialogue": [{"turn": "driver"}]}], "dialogue 1: expected scenario.task.intent"),
        ([entry("weather", 3)], "dialogue 1: an utterance must be a string, found 3"),
        ([{**NAVIGATE, "dialogue": [{"turn": "radio", "data": {"utterance": "a"}}]}], "found 'radio'"),
        (["no dialogue"], "dialogue 1: expected scenario.task.intent"),
        ({"dialogue": []}, "expected a list of dialogues, found dict"),
    ],
)
def test_malformed_content_is_refused(release, train, message):
    with pytest.raises(ValueError, match=message):
        load_corpus("smd", data_dir=release(train))


def test_missing_file_and_broken_json(write, release, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"looked for .*kvret_dev_public\.json"):
        load_corpus("smd", data_dir=release([WEATHER], dev=None))
    write("kvret_dev_public.json", "[{")
    with pytest.raises(ValueError, match="kvret_dev_public.json: not valid JSON"):
        load_corpus("smd", data_dir=tmp_path)


def test_recipe(release):
    folder = release([WEATHER, NAVIGATE])
    settings = load_settings(["--config", str(RECIPE), "--data_dir", str(folder)])
    tokenizer = settings.data.build_tokenizer(settings.load_corpus())
    assert tokenizer.decode(tokenizer("Done. Take me home")["input_ids"][1:-1]) == "Done. Take me home"
    assert settings.model["num_symbols"] == 125


def test_the_release_itself(data_dir):
    corpus = load_corpus("smd", data_dir=data_dir / "smd")
    assert "train: 2,424 dialogues of 12,720 utterances, each of them a text" in corpus.notes
    assert "validation: 302 dialogues of 1,567 utterances, each of them a text" in corpus.notes
    assert len(corpus.train) == 12_713 and len(corpus.validation) == 1_566  # without 7 and 1 empty ones
    assert Counter(corpus.validation.attributes["speaker"]) == {0: 790, 1: 776}
    assert Counter(corpus.train.attributes["intent"]) == {0: 5_240, 1: 3_165, 2: 4_308}
    check_corpus(corpus, num_symbols=125)


def test_contexts_as_published(release):
    folder = release([WEATHER, NAVIGATE])
    corpus = load_corpus("smd", data_dir=folder, context_turns=5)
    assert corpus.train.texts[:2] == ["<usr> Will it rain?", "<sys> No, it won't."]
    assert corpus.train.contexts[1] == ("<d>", "<usr> Will it rain?") and corpus.train.contexts[2] == ("<d>",)
    plain = load_corpus("smd", data_dir=folder, context_turns=5, speaker_markers="none")
    assert plain.train.texts[0] == "Will it rain?" and plain.train.contexts[1] == ("<d>", "Will it rain?")
    with pytest.raises(ValueError, match="context_turns=5 cannot be used with .* of 'daily_dialog' and 'smd'"):
        load_corpus("synthetic", context_turns=5)


def test_contexts_of_the_release():
    folder = Path(os.environ.get("LDEBM_DATA_DIR", "."), "smd")
    if not folder.exists():
        pytest.skip("needs LDEBM_DATA_DIR with smd/")
    validation = load_corpus("smd", data_dir=folder, context_turns=5).validation
    assert max(map(len, validation.contexts)) == 5
    assert sum(context[0] == "<d>" for context in validation.contexts) > sum(len(c) == 1 for c in validation.contexts)
    assert sum(len(context) == 1 for context in validation.contexts) == 302
