"""From the saved file alone, tokenizers read what people write as their corpus has it, and write as people do."""

from pathlib import Path

import pytest
from natural_writing import written_naturally
from transformers import AutoTokenizer

from ldebm_hf.data import load_corpus
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.text.conventions import Conventions
from ldebm_hf.text.tokenization import build_tokenizer, count_words, read_raw_text

REPOSITORY = Path(__file__).resolve().parents[2]
REVIEWS = [
    "i wo n't go back .", "the food was great !", "it 's $ _num_ , `` really '' cheap !", "dr. smith is ok .",
    "they ca n't cook ( at all ) .", "open 24/7 , 5-star cafe -- a+ !", "we 've waited ... _num_ hours ?",
    "you can not eat here .", "service was slow - the food was ok .", "i 'm gon na call dr. smith .",
]  # fmt: skip
NEWS = ["mr. smith of <unk> inc. sold N shares", "u.s. output rose N N", "he does n't say", "at&t 's profit fell $ N"]


def conventions_of(texts):
    return Conventions.found_in(count_words(text.split() for text in texts))


@pytest.fixture
def saved(tmp_path):
    """Builds a tokenizer, saves it and loads it as a program without the package would."""

    def build(texts, **options):
        build_tokenizer(texts, **options).save_pretrained(tmp_path)
        return AutoTokenizer.from_pretrained(tmp_path)

    return build


def test_conventions_are_read_from_the_words():
    assert conventions_of(REVIEWS) == Conventions(
        lowercase=True, plain_characters=True, has_marks=True, splits_contractions=True, treebank_quotes=True,
        number_word="_num_",
    )  # fmt: skip
    news = conventions_of(NEWS)
    assert not news.has_marks and news.number_word == "N" and news.lowercase
    assert conventions_of(["Oil prices, again!", "Rain, wind and more."]) is None, "not tokenised"
    assert conventions_of(["the café , über alles ."]).plain_characters is False
    capitals = conventions_of(["The N train , the A train ."])
    assert not capitals.lowercase and capitals.number_word is None, "a letter, not a number word"
    assert conventions_of(["_num_ of 12 , 13 and 14 ."]).number_word is None, "numbers are written out"


@pytest.mark.parametrize(
    ("text", "tokenised"),
    [
        ("I won't go back.", "i wo n't go back ."),
        ("THE FOOD WAS GREAT!!!", "the food was great !"),
        ("It’s $12, “really” cheap!", "it 's $ _num_ , `` really '' cheap !"),
        ('It\'s $1,200.50, "really" cheap!', "it 's $ _num_ , `` really '' cheap !"),
        ("Dr. Smith is OK.", "dr. smith is ok ."),
        ("They can't cook (at all).", "they ca n't cook ( at all ) ."),
        ("Open 24/7, 5-star café—A+!", "open 24/7 , 5-star cafe -- a+ !"),
        ("We've waited… 3 hours?", "we 've waited ... _num_ hours ?"),
        ("You cannot eat here.", "you can not eat here ."),
        ("I'm gonna call Dr. Smith.", "i 'm gon na call dr. smith ."),
        ("Service\u00a0was slow\u200b - the food was ok. 😀", "service was slow - the food was ok ."),
        ("<unk> great!", "<unk> great !"),
    ],
)
def test_people_and_the_corpus_write_the_same(saved, text, tokenised):
    tokenizer = saved(REVIEWS)
    assert decode_words(tokenizer, tokenizer([text])["input_ids"]) == [tokenised]
    assert tokenizer(tokenised)["input_ids"] == tokenizer(text)["input_ids"]


@pytest.mark.parametrize(
    ("text", "tokenised"),
    [
        ("Mr. Smith of <unk> Inc. sold 3,000 shares.", "mr. smith of <unk> inc. sold N shares"),
        ("AT&T’s profit fell $3.5", "at&t 's profit fell $ N"),
        ("“He doesn’t,” say Smith", "he does n't say smith"),
        ("U.S. output rose N", "u.s. output rose N"),
    ],
)
def test_a_corpus_without_marks(saved, text, tokenised):
    tokenizer = saved(NEWS)
    assert decode_words(tokenizer, tokenizer([text])["input_ids"]) == [tokenised]


def test_decoded_text_reads_like_text_and_is_read_again(saved):
    tokenizer = saved(REVIEWS)
    ids = tokenizer(REVIEWS)["input_ids"]
    written = tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert written == [
        "I won't go back.", "The food was great!", 'It\'s $_num_, "really" cheap!', "Dr. smith is ok.",
        "They can't cook (at all).", "Open 24/7, 5-star cafe -- a+!", "We've waited... _num_ hours?",
        "You can not eat here.", "Service was slow - the food was ok.", "I'm gonna call dr. smith.",
    ]  # fmt: skip
    assert tokenizer(written)["input_ids"] == ids
    assert decode_words(tokenizer, ids) == REVIEWS
    two = "the food was ok . i 'm great !"
    assert tokenizer.decode(tokenizer(two)["input_ids"], skip_special_tokens=True) == "The food was ok. I'm great!"


def test_a_corpus_that_is_not_tokenised_is_split_at_white_space(saved):
    texts = ["Oil prices, again!", "Rain, wind and more."]
    tokenizer = saved(texts)
    ids = tokenizer(texts)["input_ids"]
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == texts


def test_raw_text_can_be_left_as_it_is():
    tokenizer = build_tokenizer(REVIEWS, raw_text=False)
    assert tokenizer.tokenize("the food was great!") == ["the", "food", "was", "<unk>"]
    ids = tokenizer(REVIEWS)["input_ids"]
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == decode_words(tokenizer, ids) == REVIEWS


def test_an_older_tokenizer_learns_to_read_raw_text():
    old = build_tokenizer(REVIEWS, raw_text=False, max_length=12)
    new = read_raw_text(old, REVIEWS)
    assert new.get_vocab() == old.get_vocab() and new.model_max_length == 12
    assert new(REVIEWS)["input_ids"] == old(REVIEWS)["input_ids"]
    assert new("The food was great!")["input_ids"] == old("the food was great !")["input_ids"]
    with pytest.raises(ValueError, match="texts must be tokenised"):
        read_raw_text(old, ["Not tokenised, at all!", "Really, it's not."])


def test_texts_with_marks_of_their_own_words_are_written_like_text(saved):
    tokenizer = saved(["Don't stop, NOW!", "It's (really) time."], lowercase=True, split_punctuation=True)
    ids = tokenizer(["Don't stop, now! It's time"])["input_ids"]
    assert decode_words(tokenizer, ids) == ["don ' t stop , now ! it ' s time"]
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == ["Don't stop, now! It's time"]


@pytest.mark.parametrize("folder", ["ptb", pytest.param("yelp", marks=pytest.mark.slow)])
def test_release_texts_pass_unchanged(data_dir, folder):
    """Every line, but for lines of Yelp that end as people write ("the food was ok."), a few of thousands."""
    corpus = load_corpus(folder, data_dir=data_dir / folder)
    texts = [*corpus.validation.texts, *corpus.train.texts[::10]]
    before = build_tokenizer(corpus.train.texts, raw_text=False)(texts, truncation=False)["input_ids"]
    after = build_tokenizer(corpus.train.texts)(texts, truncation=False)["input_ids"]
    changed = [text for text, old, new in zip(texts, before, after, strict=True) if old != new]
    assert len(changed) < 0.002 * len(texts)
    untokenised = {text for text in changed if text[-1] == "." and text[-2] != " "}
    assert sum(text not in untokenised for text in changed) <= 1 + 9  # nine lines of Yelp are a single "Neutral"


def test_yelp_checkpoint_reads_natural_writing(data_dir):
    shipped = AutoTokenizer.from_pretrained(REPOSITORY / "spaces_app" / "yelp_sentiment")
    texts = load_corpus("yelp", data_dir=data_dir / "yelp").validation.texts
    tokenised = shipped(texts)["input_ids"]
    natural = [written_naturally(text) for text in texts]
    for written in (natural, [text.upper() for text in natural]):
        same = [one == other for one, other in zip(shipped(written)["input_ids"], tokenised, strict=True)]
        assert sum(same) > 0.999 * len(texts)
