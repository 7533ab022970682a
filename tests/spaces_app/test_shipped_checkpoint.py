"""The checkpoint that comes with the page loads as any of transformers', with the package and without."""

import json
from pathlib import Path

from clean_processes import run_clean
from transformers import pipeline

from ldebm_hf import LDEBMModel, LDEBMPipeline
from ldebm_hf.training.saved_runs import shipped_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = shipped_checkpoint(REPOSITORY / "spaces_app")
TEXTS = ["The soup was COLD!", "What a lovely place."]


def test_code_is_that_of_the_package(tmp_path):
    LDEBMModel.from_pretrained(SHIPPED).save_pretrained(tmp_path)
    code = {file.name for file in SHIPPED.glob("*.py")}
    assert code == {file.name for file in tmp_path.glob("*.py")}
    for name in code:
        assert (SHIPPED / name).is_symlink() and (SHIPPED / name).resolve() == REPOSITORY / "ldebm_hf/model" / name
    saved, shipped = (json.loads((folder / "config.json").read_text("utf-8")) for folder in (tmp_path, SHIPPED))
    assert shipped["auto_map"] == saved["auto_map"]


def test_reads_and_writes_sentiments():
    pipe = LDEBMPipeline.from_pretrained(SHIPPED, device="cpu")
    assert [found["label"] for found in pipe.classify(TEXTS)] == ["negative", "positive"]
    written = pipe.write_and_read(["negative", "positive"], 4, min_label_probability=0.9, generator=0)
    assert all(one.read == one.requested and one.probability >= 0.9 for one in written)
    assert pipe.complete("The <span> wasn't fresh.", generator=0)[0].text.endswith(" wasn't fresh.")
    nearest = pipe.neighbours("The soup was cold.", ["I love it!", "The food was cold.", "Come here!"], 1)
    assert nearest[0].text == "The food was cold."
    classifier = pipeline("text-classification", model=str(SHIPPED), device="cpu")
    assert [found["label"] for found in classifier(TEXTS, batch_size=2)] == ["negative", "positive"]


WITHOUT_THE_PACKAGE = """
import json
from transformers import pipeline

trust = {"model": sys.argv[1], "trust_remote_code": True, "device": "cpu"}
texts = json.loads(sys.argv[2])
pipe = pipeline("ldebm", **trust)
answers = {
    "written": pipe.write("positive", 3, min_label_probability=0.9, generator=3),
    "symbols": pipeline("text-classification", **trust)(texts),
    "features": pipeline("feature-extraction", **trust)(texts),
    "continued": pipeline("text-generation", **trust)("The staff", class_labels="negative", generator=3),
}
print(json.dumps(answers))
"""


def test_works_where_the_package_is_not_installed(tmp_path):
    printed = run_clean(WITHOUT_THE_PACKAGE, tmp_path, SHIPPED, json.dumps(TEXTS), package=False)
    answers = json.loads(printed.splitlines()[-1])
    pipe = LDEBMPipeline.from_pretrained(SHIPPED, device="cpu")
    assert answers["written"] == pipe.write("positive", 3, min_label_probability=0.9, generator=3)
    assert [found["label"] for found in answers["symbols"]] == ["negative", "positive"]
    assert [len(feature[0]) for feature in answers["features"]] == [40, 40]
    assert answers["continued"] == pipe("The staff", class_labels="negative", generator=3)
