"""What transformers' pipelines for common tasks give for an [`LDEBMModel`]: latents, symbols and texts."""

from transformers import (
    AutoModelForCausalLM,
    FeatureExtractionPipeline,
    Pipeline,
    TextClassificationPipeline,
    TextGenerationPipeline,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_ldebm import LDEBMConfig
from .modeling_ldebm import LDEBMModel
from .pipeline_ldebm import LDEBMPipeline


class ReadingPipeline(Pipeline):
    """A pipeline that tells its model the tokenizer, which a pretrained encoder needs."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.tokenizer is not None:
            self.model.set_tokenizer(self.tokenizer)


class LatentExtractionPipeline(ReadingPipeline, FeatureExtractionPipeline):
    """
    transformers' own pipeline, except that the features of a text are the mean of its posterior,
    `(1, total_latent_size)`. The pipeline of transformers would return the first output of the model's call, which is
    the loss.
    """

    def _forward(self, model_inputs):
        return self.model.encode(**model_inputs)


class SymbolClassificationPipeline(ReadingPipeline, TextClassificationPipeline):
    """
    transformers' own pipeline, whose labels are the symbols. The pipeline of transformers would take the logits of
    [`LDEBMModel`], which are those of words.
    """

    def _forward(self, model_inputs):
        return SequenceClassifierOutput(logits=self.model.encode(**model_inputs).symbol_logits)

    def check_model_type(self, supported_models):
        """Nothing: transformers' list names only classes of transformers."""


TASK_PIPELINES: dict[str, type[Pipeline]] = {
    "feature-extraction": LatentExtractionPipeline,
    "text-classification": SymbolClassificationPipeline,
    "text-generation": LDEBMPipeline,
}
"""The pipelines of this package for tasks of transformers."""


def register_task_pipelines() -> None:
    """
    Register with transformers, for each of [`TASK_PIPELINES`], a pipeline that is the one of this package for an
    [`LDEBMModel`], and for any other model the one of transformers. transformers looks up pipelines by task alone, not
    by the kind of the model.
    """
    general = {
        "feature-extraction": FeatureExtractionPipeline,
        "text-classification": TextClassificationPipeline,
        "text-generation": TextGenerationPipeline,
    }
    loaded_by = {"text-generation": (AutoModelForCausalLM, LDEBMModel)}
    for task, of_transformers in general.items():
        entry = PIPELINE_REGISTRY.supported_tasks.pop(task)  # else it would be logged that the task is overwritten
        PIPELINE_REGISTRY.register_pipeline(
            task,
            _by_model(of_transformers, TASK_PIPELINES[task]),
            pt_model=loaded_by.get(task, entry["pt"]),
            default=entry.get("default"),
            type=entry["type"],
        )


def _by_model(general: type[Pipeline], ours: type[Pipeline]) -> type[Pipeline]:
    """A class whose instances are of the class `ours` for an [`LDEBMModel`], and of the class `general` for others."""

    class PipelineByModel(general):
        def __new__(cls, model, **kwargs):
            is_ours = model.config.model_type == LDEBMConfig.model_type
            return (ours if is_ours else general)(model=model, **kwargs)

    return PipelineByModel
