"""
Latent diffusion energy-based models of text on the Hugging Face stack.

Importing the package registers its configurations and its tokenizer with transformers. The models, whose import takes
seconds, are imported when they are first asked for, and registered when the first configuration is made or loaded.
"""

from typing import TYPE_CHECKING

from transformers import AutoConfig, AutoTokenizer

from .files.lazy_names import names_on_first_use
from .model.checkpoint_code import RegistersModels
from .model.configuration_ldebm import LDEBMConfig
from .model.configuration_text_classifier import TextClassifierConfig
from .model.presets import PRESETS
from .text.document_tokenization import build_document_tokenizer
from .text.retraining import LDEBMTokenizer
from .text.subword_tokenization import build_subword_tokenizer
from .text.tokenization import build_tokenizer

if TYPE_CHECKING:
    from .commands.estimator import LDEBM
    from .model.modeling_ldebm import LDEBMModel
    from .model.outputs import LDEBMOutput
    from .model.pipeline_ldebm import LDEBMPipeline
    from .model.sequence_classification import LDEBMForSequenceClassification
    from .model.text_classifier import TextClassifier

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

__getattr__, __dir__ = names_on_first_use(
    __name__,
    {
        "LDEBM": ".commands.estimator",
        "LDEBMForSequenceClassification": ".model.sequence_classification",
        "LDEBMModel": ".model.modeling_ldebm",
        "LDEBMOutput": ".model.outputs",
        "LDEBMPipeline": ".model.pipeline_ldebm",
        "TextClassifier": ".model.text_classifier",
    },
)

AutoConfig.register(LDEBMConfig.model_type, LDEBMConfig, exist_ok=True)
AutoTokenizer.register(LDEBMConfig, LDEBMTokenizer, exist_ok=True)
RegistersModels.registration = f"{__name__}.model.registration"
# Saved folders carry the code, so that they also load where this package is not installed.
LDEBMConfig.register_for_auto_class()
