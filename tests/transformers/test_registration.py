"""What transformers knows of the package after `import ldebm_hf`, whichever way the first configuration comes."""

import pickle

import pytest
from clean_processes import run_clean
from tiny_models import tiny_model

from ldebm_hf import LDEBMConfig, TextClassifier, TextClassifierConfig

FIRST_USES = {
    "loading": "AutoConfig.from_pretrained(folder)",
    "making": "ldebm_hf.LDEBMConfig(vocab_size=9)",
    "unpickling": "pickle.loads(bytes.fromhex(pickled))",
    "a judge": "ldebm_hf.TextClassifierConfig(vocab_size=9)",
}
CHECK = """
import pickle, sys
import ldebm_hf
from transformers import (
    AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, CONFIG_MAPPING, TOKENIZER_MAPPING
)

folder, pickled = sys.argv[1:]
assert CONFIG_MAPPING["ldebm"] is ldebm_hf.LDEBMConfig
assert CONFIG_MAPPING["ldebm_text_classifier"] is ldebm_hf.TextClassifierConfig
assert "transformers.modeling_utils" not in sys.modules
{first_use}
from transformers.pipelines import PIPELINE_REGISTRY

for auto in (AutoModel, AutoModelForSeq2SeqLM):
    assert auto._model_mapping[ldebm_hf.LDEBMConfig] is ldebm_hf.LDEBMModel
classifiers = AutoModelForSequenceClassification._model_mapping
assert classifiers[ldebm_hf.LDEBMConfig] is ldebm_hf.LDEBMForSequenceClassification
assert classifiers[ldebm_hf.TextClassifierConfig] is ldebm_hf.TextClassifier
assert PIPELINE_REGISTRY.check_task("ldebm")[1]["impl"] is ldebm_hf.LDEBMPipeline
print(*sorted(task for task, entry in PIPELINE_REGISTRY.supported_tasks.items() if "ByModel" in str(entry["impl"])))
"""
LOAD = """
import sys
import ldebm_hf
from transformers import AutoModel, AutoModelForSequenceClassification

print(type(AutoModel.from_pretrained(sys.argv[1])).__module__)
print(type(AutoModelForSequenceClassification.from_pretrained(sys.argv[2])).__module__)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(path)
    return path


@pytest.mark.parametrize("first_use", FIRST_USES)
def test_models_and_pipelines_are_registered_by_the_first(first_use, folder, tmp_path):
    pickled = pickle.dumps(LDEBMConfig(vocab_size=9)).hex()
    printed = run_clean(CHECK.format(first_use=FIRST_USES[first_use]), tmp_path, folder, pickled)
    assert printed.split() == ["feature-extraction", "text-classification", "text-generation"]


def test_importing_the_package_is_enough_for_auto_classes(folder, tmp_path):
    TextClassifier(TextClassifierConfig(vocab_size=9)).save_pretrained(tmp_path / "judge")
    printed = run_clean(LOAD, tmp_path, folder, tmp_path / "judge")
    assert printed.split() == ["ldebm_hf.model.modeling_ldebm", "ldebm_hf.model.text_classifier"]
