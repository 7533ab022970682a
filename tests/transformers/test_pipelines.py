"""transformers' pipelines and auto classes give latents, symbols and texts, with the package and without."""

import copy
import json

import pytest
import torch
from clean_processes import run_clean
from datasets import Dataset
from tiny_base_models import bert, pretrained_settings, word_tokenizer
from tiny_models import tiny_model
from transformers import (
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DataCollatorWithPadding,
    FeatureExtractionPipeline,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
    TextClassificationPipeline,
    TextGenerationPipeline,
    Trainer,
    TrainingArguments,
    pipeline,
)

from ldebm_hf import LDEBMConfig, LDEBMForSequenceClassification, LDEBMModel, LDEBMPipeline, build_tokenizer
from ldebm_hf.model.task_pipelines import LatentExtractionPipeline

TEXTS = ["a b c", "d", "e f g h a"]


@pytest.fixture(scope="module")
def pipe() -> LDEBMPipeline:
    tokenizer = build_tokenizer(["a b c d e f g h"], max_length=12)
    model = tiny_model(vocab_size=len(tokenizer))
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(6)  # texts get different latents
    return LDEBMPipeline(model, tokenizer, device="cpu")


@pytest.fixture(scope="module")
def folder(pipe, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("saved")
    pipe.save_pretrained(path)
    return str(path)


def assert_equal_latents(features, latents):
    assert all(torch.tensor(feature).shape == (1, 4) for feature in features)
    torch.testing.assert_close(torch.tensor(features)[:, 0], torch.from_numpy(latents), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_features_are_latents(pipe, folder, batch_size):
    for extractor in (
        pipeline("feature-extraction", model=folder, device="cpu"),
        pipeline("feature-extraction", model=folder, device="cpu", trust_remote_code=True),
        pipeline("feature-extraction", model=pipe.model, tokenizer=pipe.tokenizer, device="cpu"),
    ):
        assert type(extractor) is LatentExtractionPipeline
        assert_equal_latents(extractor(TEXTS, batch_size=batch_size), pipe.latents(TEXTS))
        assert extractor("d", return_tensors=True).shape == (1, 4)


def tiny_bert(tokenizer) -> BertModel:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).eval()


def test_pipelines_of_other_models_are_transformers_own(pipe):
    model = tiny_bert(pipe.tokenizer)
    extractor = pipeline("feature-extraction", model=model, tokenizer=pipe.tokenizer, device="cpu")
    expected = model(**pipe.tokenizer("a b c", return_tensors="pt")).last_hidden_state
    assert type(extractor) is FeatureExtractionPipeline
    torch.testing.assert_close(extractor("a b c", return_tensors=True), expected)
    classifier = BertForSequenceClassification(model.config).eval()
    classified = pipeline("sentiment-analysis", model=classifier, tokenizer=pipe.tokenizer, device="cpu")
    assert type(classified) is TextClassificationPipeline and classified("a b")[0]["label"].startswith("LABEL_")
    writer = GPT2LMHeadModel(GPT2Config(vocab_size=len(pipe.tokenizer), n_embd=8, n_layer=1, n_head=2))
    tokenizer = copy.deepcopy(pipe.tokenizer)  # the pipeline makes it pad on the left
    written = pipeline("text-generation", model=writer, tokenizer=tokenizer, device="cpu")
    assert type(written) is TextGenerationPipeline and written("a b", max_new_tokens=2)[0]["generated_text"]


def test_model_of_another_kind_is_not_loaded_as_ours(pipe, tmp_path):
    tiny_bert(pipe.tokenizer).save_pretrained(tmp_path / "bert")
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    T5ForConditionalGeneration(T5Config(vocab_size=len(pipe.tokenizer), **sizes)).save_pretrained(tmp_path / "t5")
    options = {"tokenizer": copy.deepcopy(pipe.tokenizer), "device": "cpu"}
    writer = pipeline("text-generation", model=str(tmp_path / "t5"), **options)
    assert type(writer) is TextGenerationPipeline and type(writer.model) is T5ForConditionalGeneration
    assert writer("a b", max_new_tokens=2)[0]["generated_text"]
    with pytest.raises(ValueError, match="model_type must be 'ldebm', got 'bert'"):
        LDEBMModel.from_pretrained(tmp_path / "bert")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_text_classification_gives_what_classify_gives(pipe, folder, batch_size, caplog):
    expected = pipe.classify(TEXTS)
    for model in (folder, pipe.model):
        classifier = pipeline("text-classification", model=model, tokenizer=pipe.tokenizer, device="cpu")
        found = classifier(TEXTS, batch_size=batch_size)
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)
    in_order = classifier("a b c", top_k=None)
    assert [one["label"] for one in in_order] == [one["label"] for one in pipe.classify("a b c", top_k=None)[0]]
    assert caplog.text == "", "such as that the model is not supported"


@pytest.mark.parametrize("task", ["feature-extraction", "text-classification", "text-generation", "ldebm"])
def test_pretrained_encoder_reads_with_the_tokenizer_of_any_pipeline(task):
    model = LDEBMModel(LDEBMConfig.from_preset("consistent", **pretrained_settings(bert())))
    model.load_base_models()
    tokenizer = word_tokenizer()
    made = pipeline(task, model=model, tokenizer=tokenizer, device="cpu")
    assert model.encoder.tokenizer is made.tokenizer and made("great coffee")


def test_pipeline_of_the_package_needs_no_trust(pipe, folder):
    made = pipeline("ldebm", model=folder, device="cpu")
    assert type(made) is LDEBMPipeline and made.write("bad", 2, generator=1) == pipe.write("bad", 2, generator=1)
    trusted = pipeline("ldebm", model=folder, device="cpu", trust_remote_code=True)
    assert type(trusted) is LDEBMPipeline
    half = pipeline("ldebm", model=folder, device="cpu", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16 and len(half(["a", ""], batch_size=2)) == 2


@pytest.mark.parametrize("options", [{}, {"trust_remote_code": True}], ids=["no trust", "trust"])
def test_text_generation_writes(pipe, folder, options):
    writer = pipeline("text-generation", model=folder, device="cpu", **options)
    assert type(writer) is LDEBMPipeline and type(writer.model) is LDEBMModel
    expected = pipe("a b", class_labels="good", num_return_sequences=2, generator=1)
    assert writer("a b", class_labels="good", num_return_sequences=2, generator=1) == expected
    given = pipeline("text-generation", model=pipe.model, tokenizer=pipe.tokenizer, device="cpu")
    assert given("a b", class_labels="good", num_return_sequences=2, generator=1) == expected


def test_checkpoint_names_a_class_for_each_auto_class(folder, tmp_path):
    def auto_map_of(path) -> dict[str, str]:
        return json.loads((path / "config.json").read_text("utf-8"))["auto_map"]

    LDEBMModel.from_pretrained(folder).save_pretrained(tmp_path / "text")
    assert auto_map_of(tmp_path / "text") == {
        "AutoConfig": "configuration_ldebm.LDEBMConfig",
        "AutoModel": "modeling_ldebm.LDEBMModel",
        "AutoModelForSeq2SeqLM": "modeling_ldebm.LDEBMModel",
        "AutoModelForSequenceClassification": "sequence_classification.LDEBMForSequenceClassification",
    }
    points = LDEBMModel(LDEBMConfig.from_preset("vae", modality="point", latent_size=2, point_hidden_size=4))
    points.save_pretrained(tmp_path / "points")
    assert auto_map_of(tmp_path / "points").keys() == {"AutoConfig", "AutoModel"}
    tiny_model("vae").save_pretrained(tmp_path / "vae")
    assert auto_map_of(tmp_path / "vae").keys() == {"AutoConfig", "AutoModel", "AutoModelForSeq2SeqLM"}


# ------------------------------------------------------------------------------------------------ the classifier class


def test_classifier_is_the_model_in_all_but_its_call(pipe, folder, tmp_path):
    classifier = AutoModelForSequenceClassification.from_pretrained(folder)
    assert type(classifier) is LDEBMForSequenceClassification
    batch = pipe.tokenizer(TEXTS, return_tensors="pt", padding=True)
    output = classifier(**batch)
    torch.testing.assert_close(output.logits.softmax(-1), pipe.model.infer_symbols(**batch))
    assert output.loss is None and torch.equal(classifier(**batch, return_dict=False)[0], output.logits)
    for options in ({"num_beams": 3}, {"do_sample": True, "return_dict_in_generate": True}):
        written = classifier.generate(class_labels="bad", num_samples=2, generator=1, **options)
        expected = pipe.model.generate(class_labels="bad", num_samples=2, generator=1, **options)
        rows = [ids if isinstance(ids, torch.Tensor) else ids.sequences for ids in (written, expected)]
        assert torch.equal(*rows)
    classifier.save_pretrained(tmp_path)
    again = LDEBMModel.from_pretrained(tmp_path)
    assert all(torch.equal(tensor, pipe.model.state_dict()[name]) for name, tensor in again.state_dict().items())
    assert type(AutoModel.from_pretrained(tmp_path)) is LDEBMModel
    assert type(AutoModelForSeq2SeqLM.from_pretrained(tmp_path)) is LDEBMModel


def test_classifier_of_a_prior_without_symbols_is_refused(tmp_path):
    tiny_model("vae").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="prior='gaussian' has no symbols"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)


def test_trainer_trains_and_scores_a_classifier(pipe, folder, tmp_path):
    classifier = AutoModelForSequenceClassification.from_pretrained(folder)
    rows = {"input_ids": pipe.tokenizer(TEXTS * 4).input_ids, "labels": [0, 1, -100] * 4}
    settings = {"report_to": [], "use_cpu": True, "max_steps": 30, "learning_rate": 0.02, "disable_tqdm": True}
    trainer = Trainer(
        classifier,
        TrainingArguments(str(tmp_path), per_device_train_batch_size=6, **settings),
        train_dataset=Dataset.from_dict(rows),
        eval_dataset=Dataset.from_dict({name: values[:2] for name, values in rows.items()}),
        data_collator=DataCollatorWithPadding(pipe.tokenizer),
        compute_metrics=lambda found: {"right": float((found.predictions.argmax(-1) == found.label_ids).mean())},
    )
    trainer.train()
    scores = trainer.evaluate()
    assert scores["eval_right"] == 1 and scores["eval_loss"] > 0
    batch = pipe.tokenizer(TEXTS[:2], return_tensors="pt", padding=True)
    classifier.eval()
    losses = []
    for forward, name in ((LDEBMModel.forward, "class_labels"), (LDEBMForSequenceClassification.forward, "labels")):
        torch.manual_seed(0)
        losses.append(forward(classifier, **batch, **{name: torch.tensor([0, 1])}).loss)
    assert torch.equal(*losses), "the whole objective"


# ------------------------------------------------------------------------------------------------- without the package

WITHOUT_THE_PACKAGE = """
import json
import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, pipeline

folder, again = sys.argv[1:]
texts, trust = ["a b c", "d", "e f g h a"], {"trust_remote_code": True, "device": "cpu"}
pipe = pipeline("ldebm", model=folder, **trust)
assert type(pipe).__module__.startswith("transformers_modules.")
classifier = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
seq2seq = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
batch = pipe.tokenizer(texts, return_tensors="pt", padding=True)
answers = {
    "features": pipeline("feature-extraction", model=folder, **trust)(texts, batch_size=2),
    "symbols": pipeline("text-classification", model=folder, **trust)(texts, batch_size=2),
    "generated": pipeline("text-generation", model=folder, **trust)("a b", class_labels="bad", generator=1),
    "written": pipe.write("bad", 2, generator=1),
    "classified": pipe.model.classify(texts),
    "completed": pipe.complete("a <mask> c", generator=1)[0].text,
    "neighbour": pipe.neighbours("d", texts, 1)[0].text,
    "logits": classifier(**batch).logits.tolist(),
    "loss": seq2seq(**batch, generator=1).loss.item(),
}
pipe.save_pretrained(again)
assert pipeline("ldebm", model=again, **trust).write("bad", 2, generator=1) == answers["written"]
print(json.dumps(answers))
"""


def test_pipelines_work_where_the_package_is_not_installed(pipe, folder, tmp_path):
    printed = run_clean(WITHOUT_THE_PACKAGE, tmp_path, folder, tmp_path / "again", package=False)
    answers = json.loads(printed.splitlines()[-1])
    assert_equal_latents(answers["features"], pipe.latents(TEXTS))
    expected = pipe.classify(TEXTS)
    for found in (answers["symbols"], answers["classified"]):
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)
    assert answers["generated"] == pipe("a b", class_labels="bad", generator=1)
    assert answers["written"] == pipe.write("bad", 2, generator=1)
    assert answers["completed"] == pipe.complete("a <mask> c", generator=1)[0].text
    assert answers["neighbour"] == "d"
    batch = pipe.tokenizer(TEXTS, return_tensors="pt", padding=True)
    torch.testing.assert_close(torch.tensor(answers["logits"]), pipe.model.encode(**batch).symbol_logits)
    assert answers["loss"] == pytest.approx(pipe.model(**batch, generator=1).loss.item(), rel=1e-5)


WITH_THE_PACKAGE = """
import builtins, sys
import ldebm_hf
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer, pipeline

def refuse(*arguments):
    raise AssertionError("asked whether to run the code of the checkpoint")

builtins.input = refuse
folder = sys.argv[1]
for task in ("ldebm", "feature-extraction", "text-classification", "text-generation"):
    model = pipeline(task, model=folder, device="cpu").model
    assert type(model).__module__.startswith("ldebm_hf."), type(model)
for auto in (AutoModel, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer):
    auto.from_pretrained(folder)
"""


def test_nobody_is_asked_for_trust_where_the_package_is_imported(folder, tmp_path):
    run_clean(WITH_THE_PACKAGE, tmp_path, folder)


def test_tokenizer_is_loaded_without_asking_again(folder, monkeypatch):
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", _refuse_without_config(AutoTokenizer.from_pretrained))
    assert LDEBMPipeline.from_pretrained(folder, device="cpu").classify("a b")
    assert LDEBMModel.from_pretrained(folder).classify("a b")


def _refuse_without_config(load):
    def from_pretrained(*arguments, config=None, **options):
        assert config is not None, "transformers would load the configuration once more, which may ask for trust"
        return load(*arguments, config=config, **options)

    return from_pretrained
