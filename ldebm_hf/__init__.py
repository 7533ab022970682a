"""Latent diffusion energy-based models of text on the Hugging Face stack."""

from typing import TYPE_CHECKING, Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .model.checkpoint_code import PIPELINE_TASK
from .model.configuration_ldebm import LDEBMConfig
from .model.modeling_ldebm import LDEBMModel
from .model.outputs import LDEBMOutput
from .model.pipeline_ldebm import LDEBMPipeline
from .model.presets import PRESETS
from .model.sequence_classification import LDEBMForSequenceClassification
from .model.task_pipelines import register_task_pipelines
from .model.text_classifier import TextClassifier, TextClassifierConfig
from .text.document_tokenization import build_document_tokenizer
from .text.retraining import LDEBMTokenizer
from .text.subword_tokenization import build_subword_tokenizer
from .text.tokenization import build_tokenizer

if TYPE_CHECKING:
    from .commands.estimator import LDEBM

__version__ = "0.1.0"
__all__ = [
    "LDEBM",
    "PRESETS",
    "LDEBMConfig",
    "LDEBMForSequenceClassification",
    "LDEBMModel",
    "LDEBMOutput",
    "LDEBMPipeline",
    "LDEBMTokenizer",
    "TextClassifier",
    "TextClassifierConfig",
    "build_document_tokenizer",
    "build_subword_tokenizer",
    "build_tokenizer",
]


def __getattr__(name: str) -> Any:
    """`LDEBM`, which needs scikit-learn and the training, is imported when it is asked for."""
    if name == "LDEBM":
        from .commands.estimator import LDEBM

        return LDEBM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


AutoConfig.register(LDEBMConfig.model_type, LDEBMConfig, exist_ok=True)
AutoModel.register(LDEBMConfig, LDEBMModel, exist_ok=True)
AutoModelForSeq2SeqLM.register(LDEBMConfig, LDEBMModel, exist_ok=True)
AutoModelForSequenceClassification.register(LDEBMConfig, LDEBMForSequenceClassification, exist_ok=True)
AutoTokenizer.register(LDEBMConfig, LDEBMTokenizer, exist_ok=True)
# Saved folders carry the code, so that they also load where this package is not installed.
LDEBMConfig.register_for_auto_class()
LDEBMModel.register_for_auto_class("AutoModel")
PIPELINE_REGISTRY.register_pipeline(PIPELINE_TASK, LDEBMPipeline, pt_model=AutoModel, type="text")
register_task_pipelines()
