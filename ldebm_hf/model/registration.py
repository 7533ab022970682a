"""The models and pipelines of this package in transformers' registries, where importing this module puts them."""

from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY

from .checkpoint_code import PIPELINE_TASK
from .configuration_ldebm import LDEBMConfig
from .configuration_text_classifier import TextClassifierConfig
from .modeling_ldebm import LDEBMModel
from .pipeline_ldebm import LDEBMPipeline
from .sequence_classification import LDEBMForSequenceClassification
from .task_pipelines import register_task_pipelines
from .text_classifier import TextClassifier

AutoModel.register(LDEBMConfig, LDEBMModel, exist_ok=True)
AutoModelForSeq2SeqLM.register(LDEBMConfig, LDEBMModel, exist_ok=True)
AutoModelForSequenceClassification.register(LDEBMConfig, LDEBMForSequenceClassification, exist_ok=True)
AutoModelForSequenceClassification.register(TextClassifierConfig, TextClassifier, exist_ok=True)
PIPELINE_REGISTRY.register_pipeline(PIPELINE_TASK, LDEBMPipeline, pt_model=AutoModel, type="text")
register_task_pipelines()
