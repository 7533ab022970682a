"""What a checkpoint tells transformers about the code in its folder: the auto classes and the pipelines."""

from importlib import import_module
from typing import Any, ClassVar

PIPELINE_TASK = "ldebm"
"""The task of [`LDEBMPipeline`] in `transformers.pipeline`."""


class RegistersModels:
    """
    A base of configurations that has transformers know their models before there is a configuration.

    Importing the models takes seconds, for which `import ldebm_hf` and `--help` need not wait. It is soon enough when
    the first configuration is made, because an auto class and a pipeline look up a model by its configuration.
    """

    registration: ClassVar[str | None] = None
    """The module that registers the models when it is imported; the package names it, the code in a checkpoint not."""

    def __new__(cls, *args, **kwargs):
        # Not in __init__, which unpickling and copying do without.
        if cls.registration is not None:
            import_module(cls.registration)
        return super().__new__(cls)


class PipelinesInCheckpoint:
    """A base of configurations whose checkpoints bring pipelines of their own."""

    @property
    def custom_pipelines(self) -> dict[str, dict[str, Any]]:
        """
        The pipelines in the folder of a checkpoint by task, which `transformers.pipeline(…, trust_remote_code=True)`
        looks up here. None where the package is imported, which has registered its own pipelines, so that transformers
        needs to trust no code.
        """
        # Imported here because that takes long, and because our pipelines import the configuration; the loader of the
        # Hub finds these files all the same.
        from transformers.pipelines import PIPELINE_REGISTRY

        if PIPELINE_TASK in PIPELINE_REGISTRY.supported_tasks:
            return {}
        from .pipeline_ldebm import LDEBMPipeline
        from .task_pipelines import TASK_PIPELINES

        pipelines = TASK_PIPELINES | {PIPELINE_TASK: LDEBMPipeline}
        loaded_by = {"text-classification": "AutoModelForSequenceClassification"}
        return {
            task: {"impl": _reference(kind), "pt": (loaded_by.get(task, "AutoModel"),), "type": "text"}
            for task, kind in pipelines.items()
        }


class CodeInCheckpoint:
    """A base of models whose checkpoints name the class of each of transformers' auto classes."""

    def save_pretrained(self, save_directory, *args, **kwargs):
        """As in transformers. The code that a folder loads by, with `trust_remote_code=True`, is saved into it."""
        from .modeling_ldebm import LDEBMModel
        from .sequence_classification import LDEBMForSequenceClassification

        modality = self.config.modality_class
        classes = {"AutoModel": LDEBMModel}
        if modality.is_autoregressive:
            classes["AutoModelForSeq2SeqLM"] = LDEBMModel
        if modality.reads_texts and self.config.has_symbols:
            classes["AutoModelForSequenceClassification"] = LDEBMForSequenceClassification
        given = getattr(self.config, "auto_map", None) or {}
        self.config.auto_map = given | {auto: _reference(kind) for auto, kind in classes.items()}
        packages = {kind.__module__.rpartition(".")[0] for kind in (type(self), type(self.config))}
        if self.config._auto_class is None or len(packages) > 1:
            super().save_pretrained(save_directory, *args, **kwargs)
            return
        # The code of the configuration is among that of a model beside it, and need not be saved once more.
        self.config.auto_map[self.config._auto_class] = _reference(type(self.config))
        self.config._auto_class = None
        try:
            super().save_pretrained(save_directory, *args, **kwargs)
        finally:
            del self.config._auto_class  # of this configuration: its class's is in force again


def _reference(kind: type) -> str:
    """A class as the Hub's loader finds it: the file that defines it, and its name."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
