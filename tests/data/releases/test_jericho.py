import json

import pytest

from ldebm_hf.data import NO_LABEL, check_corpus, load_corpus
from ldebm_hf.data.releases.jericho import Jericho
from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.training import load_settings

RECIPE = RECIPES / "jericho.yaml"


def room(game, name, text, variant=0) -> dict:
    return {"rom": game, "room": name, "text": text, "variant": variant}


CAVE = room("cave", "Cave", "A dark cave.\nA lamp is here.")
ROOMS = [
    CAVE,
    room("cave", "Cave", "A dark cave.", 1),
    room("cave", "Cave (by the wall)", "A dark  cave.", 1),
    *[room("house", f"Room {i}", f"Room number {i}.") for i in range(18)],
    room("moon", "Crater", "A dark cave."),
]


@pytest.fixture
def release(write, tmp_path):
    def build(rooms):
        write("rooms.train.jsonl", "".join(json.dumps(entry) + "\n" for entry in rooms))
        return tmp_path

    return build


def test_release_layout(release):
    corpus = load_corpus("jericho", data_dir=release(ROOMS))
    texts = [*corpus.train.texts, *corpus.validation.texts]
    assert "A dark cave. A lamp is here." in texts and texts.count("A dark cave.") == 2
    assert len(corpus.train) + len(corpus.validation) == 21 and corpus.test is None
    assert corpus.attribute_names == {"game": ["cave", "house", "moon"]}
    assert set(corpus.train.labels) == {NO_LABEL}
    assert corpus.notes[:2] == [
        "rooms.train.jsonl: 1 texts that their game has already dropped",
        "rooms.train.jsonl: 21 texts of 20 rooms, 1 of them of other states",
    ]
    check_corpus(corpus, num_symbols=3)


@pytest.mark.parametrize("seed", range(6))
def test_whole_games_are_held_out(release, seed):
    """A tenth of 21 texts has room for the cave's two or the moon's one, never for the house."""
    corpus = Jericho(data_dir=release(ROOMS), seed=seed).read()
    held_out, trained_on = (set(split.attributes["game"]) for split in (corpus.validation, corpus.train))
    assert held_out in ({0}, {2}) and not held_out & trained_on
    assert corpus.notes[2] == f"validation: the games {('cave', '', 'moon')[min(held_out)]}"
    assert Jericho(data_dir=release(ROOMS), seed=seed).read() == corpus
    both = Jericho(data_dir=release(ROOMS), seed=seed, validation_fraction=0.15).read()
    assert set(both.validation.attributes["game"]) == {0, 2}
    smallest = Jericho(data_dir=release(ROOMS), seed=seed, validation_fraction=0.01).read()
    assert set(smallest.validation.attributes["game"]) == {2}  # none fits, so the smallest


def test_seeds_choose_games(release):
    assert len({Jericho(data_dir=release(ROOMS), seed=seed).read().notes[2] for seed in range(12)}) == 2


@pytest.mark.parametrize(
    ("rooms", "message"),
    [
        ([CAVE, {"rom": "a", "text": "b"}], "rooms.train.jsonl, line 2: expected an object with rom, room, text, var"),
        ([CAVE, room("a", "b", 3)], "line 2: expected an object"),
        ([[]], "line 1: expected an object"),
        ([CAVE], r"whole games are held out, which needs at least 2, found \['cave'\]"),
    ],
)
def test_malformed_content_is_refused(release, rooms, message):
    with pytest.raises(ValueError, match=message):
        Jericho(data_dir=release(rooms)).read()


def test_missing_file_and_broken_json(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"looked for .*rooms\.train\.jsonl"):
        Jericho(data_dir=tmp_path).read()
    write("rooms.train.jsonl", "{")
    with pytest.raises(ValueError, match="line 1: not valid JSON"):
        Jericho(data_dir=tmp_path).read()
    with pytest.raises(ValueError, match="validation_fraction must be between 0 and 1"):
        Jericho(data_dir=tmp_path, validation_fraction=0).read()


def test_recipe(release):
    settings = load_settings(["--config", str(RECIPE), "--data_dir", str(release(ROOMS))])
    tokenizer = settings.data.build_tokenizer(settings.load_corpus())
    assert tokenizer.decode(tokenizer("A dark Cave.")["input_ids"][1:-1]) == "A dark cave."
    assert settings.model["word_dropout"] == 0.3


def test_the_release_itself(data_dir):
    corpus = Jericho(data_dir=data_dir / "jericho").read()
    assert len(corpus.train) + len(corpus.validation) == 5_482
    assert 400 < len(corpus.validation) <= 549
    assert not set(corpus.train.attributes["game"]) & set(corpus.validation.attributes["game"])
