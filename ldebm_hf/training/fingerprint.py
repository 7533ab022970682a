"""What must be the same for an interrupted run to be resumed, as values by name that an error can quote."""

from typing import Any

from accelerate import Accelerator

from ..model.configuration_ldebm import LDEBMConfig
from .settings import Settings
from .shards import TrainingExamples

MAY_CHANGE = {
    "adversarial_steps",  # of a fit after all other training
    "dataloader_num_workers",
    "ddp_timeout",
    "disable_tqdm",
    "early_stopping_patience",
    "gradient_checkpointing",
    "hub_model_id",
    "hub_private_repo",
    "initial_words",  # only matters for the initial weights
    "logging_steps",
    "max_steps",
    "mixed_precision",  # the accelerator's own value counts
    "num_train_epochs",
    "output_dir",
    "overwrite_output_dir",
    "push_to_hub",
    "report_to",
    "resume",
    "save_steps",
    "save_total_limit",
    "trust_remote_code",
}

NOT_IN_EARLIER_RUNS = {
    "model.encoder_digest",
    "model.decoder_digest",
    "model.symbol_groups",
    "training.float32_matmul_precision",
    "training.vocabulary_precision",
    "model.distilled_sampler",
    "model.latent_generator",
}
"""Names that the fingerprints of runs by earlier versions lack, which can be resumed all the same."""


def run_fingerprint(
    settings: Settings, config: LDEBMConfig, examples: TrainingExamples, accelerator: Accelerator, total_steps: int
) -> dict[str, Any]:
    """Every setting that changes the course of a run, and a digest of its training examples, by full name."""
    values = {f"clustering.{name}": value for name, value in vars(settings.clustering).items()}
    values |= {f"training.{k}": value for k, value in vars(settings.training).items() if k not in MAY_CHANGE}
    values |= {f"model.{k}": value for k, value in config.to_diff_dict().items() if k != "transformers_version"}
    if not settings.training.lr_scheduler_type.startswith("constant") or settings.training.kl_schedule != "constant":
        values["the number of training steps"] = total_steps
    return values | {
        "the training examples": examples.digest,
        "the number of processes": accelerator.num_processes,
        "training.mixed_precision": accelerator.mixed_precision,
    }
