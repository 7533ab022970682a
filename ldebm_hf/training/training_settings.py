"""Settings of the optimisation, the checkpoints and the logging of a run."""

from dataclasses import dataclass, fields
from typing import Literal

from .typed_values import setting

Schedule = Literal[
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt"
]


@dataclass
class TrainingSettings:
    """How a run is optimised, saved and logged. Names follow transformers' `TrainingArguments`."""

    output_dir: str = setting(
        "outputs/ldebm", "Folder for everything that the run writes.", heading="Output folder and resuming"
    )
    overwrite_output_dir: bool = setting(False, "Discard what an earlier run left in the output folder.")
    resume: str | None = setting(
        None, 'Continue an interrupted run: "latest", or the folder of one of its checkpoints.'
    )
    seed: int = setting(0, "Seed of the initial weights, the order of the examples and all noise.", at_least=0)

    num_train_epochs: int = setting(10, "Number of epochs.", at_least=1, heading="Length and batches")
    max_steps: int = setting(-1, "Number of optimiser steps. If positive, it replaces num_train_epochs.", at_least=-1)
    per_device_train_batch_size: int = setting(
        128, "Number of examples in each forward pass of each process.", at_least=1
    )
    per_device_eval_batch_size: int = setting(
        256, "Number of examples in each forward pass of validation and clustering.", at_least=1
    )
    labelled_batch_size: int = setting(
        0,
        "Number of labelled examples drawn for each step in addition to its batch; labels are then learned from these "
        "alone. Default 0: labels are learned wherever they occur in the batches.",
        at_least=0,
    )
    gradient_accumulation_steps: int = setting(1, "Number of forward passes per optimiser step.", at_least=1)
    dataloader_num_workers: int | None = setting(
        None,
        "Number of processes that prepare batches in advance. Default: 2 if training on a GPU, otherwise 0.",
        at_least=0,
    )

    learning_rate: float = setting(
        1e-3, "Learning rate of Adam for the encoder and the decoder.", at_least=0, heading="Optimiser"
    )
    prior_learning_rate: float = setting(1e-4, "Learning rate of Adam for the prior.", at_least=0)
    base_learning_rate: float = setting(
        2e-4, "Learning rate of Adam for what is trained of pretrained encoders and decoders.", at_least=0
    )
    weight_decay: float = setting(
        0.0, "L2 penalty on the encoder and the decoder, added to the gradient as in torch's Adam.", at_least=0
    )
    prior_weight_decay: float = setting(0.0, "L2 penalty on the prior, likewise added to the gradient.", at_least=0)
    max_grad_norm: float | None = setting(
        0.5, "Largest norm of the gradient of encoder and decoder; none switches clipping off.", above=0
    )
    prior_max_grad_norm: float | None = setting(
        10.0, "Largest norm of the gradient of the prior; none switches clipping off.", above=0
    )
    lr_scheduler_type: Schedule = setting("constant", "Schedule of all learning rates, as in transformers.")
    warmup_steps: int = setting(0, "Number of steps over which the learning rates grow from 0.", at_least=0)

    kl_schedule: Literal["constant", "cyclical"] = setting(
        "constant",
        'Schedule of model.kl_weight. "cyclical": it grows from 0 in each cycle; one cycle is ordinary KL annealing.',
        heading="Annealing of the KL weight",
    )
    kl_cycles: int = setting(1, "Number of cycles in the run.", at_least=1)
    kl_zero_fraction: float = setting(0.0, "Fraction of each cycle during which the weight stays 0.", at_least=0)
    kl_ramp_fraction: float = setting(
        0.5,
        "Fraction of each cycle during which the weight then grows linearly; after that it stays constant.",
        at_least=0,
    )

    mixed_precision: Literal["no", "fp16", "bf16"] | None = setting(
        None, "Precision of the forward pass. Default: what `accelerate launch` says.", heading="Precision and speed"
    )
    float32_matmul_precision: Literal["auto", "highest", "high", "medium"] = setting(
        "auto",
        "Precision of products of float32 matrices, as in torch.set_float32_matmul_precision. \"auto\": on a CPU that "
        "multiplies them in full precision with \"medium\" too, that, because it can be twice as fast; otherwise "
        "PyTorch's own.",
    )
    vocabulary_precision: Literal["float32", "bfloat16"] = setting(
        "float32",
        "Precision of the products of the decoder's states with the words in training; softmax, sums and evaluation "
        "stay in float32. bfloat16 is faster on a CPU that has instructions for it, and slow on others.",
    )
    gradient_checkpointing: bool = setting(
        False,
        "Compute the layers of pretrained encoders and decoders again in the backward pass instead of keeping what "
        "they compute: less memory, and a third more time.",
    )
    compile_sampler: bool = setting(
        False, "Run the Langevin sampler through torch.compile, or without it where compiling fails."
    )
    sampler_dtype: Literal["float32", "bfloat16"] = setting(
        "float32", "Precision of the energy inside the Langevin sampler."
    )
    ddp_timeout: float = setting(
        1800, "Seconds without an answer after which another process is considered lost.", above=0
    )

    trust_remote_code: bool = setting(
        False,
        "Run code from the repositories of the pretrained encoder and decoder, for models that transformers does not "
        "have itself. Read the code first.",
        heading="Code of pretrained models",
    )

    adversarial_steps: int = setting(
        5000,
        "Steps of the fit of the generator of model.prior=adversarial to the latents of the labelled training "
        "examples, after all other training.",
        at_least=1,
        heading="Conditional GAN",
    )

    initial_words: Literal["random", "cooccurrence"] = setting(
        "random",
        'Initial word vectors of a model of documents: "random", or "cooccurrence": from the words that occur in the '
        "same texts.",
        heading="Initialisation",
    )

    logging_steps: int = setting(
        10, "Number of steps between log lines.", at_least=1, heading="Logging and checkpoints"
    )
    disable_tqdm: bool = setting(False, "Show no progress bars.")
    save_steps: int = setting(
        500, "Number of steps between checkpoints. One is also written at the end of every epoch.", at_least=1
    )
    save_total_limit: int = setting(2, "Number of checkpoints to keep; older ones are deleted.", at_least=1)
    report_to: str = setting(
        "none", "Trackers of Accelerate to log to besides metrics.jsonl, for instance tensorboard,wandb."
    )

    metric_for_best_model: str | None = setting(
        "reconstruction_loss",
        "Validation score by which the best model is selected. none: the cross-entropy of the labels if symbols stand "
        "for labels, otherwise the reconstruction loss.",
        heading="Selection of the best model",
    )
    early_stopping_patience: int | None = setting(
        None, "Stop after this many validations in a row without a new best score. Default: never.", at_least=1
    )

    push_to_hub: bool = setting(
        False,
        "Push the best model, the record of its run and its model card to the Hub at the end.",
        heading="Hugging Face Hub",
    )
    hub_model_id: str | None = setting(
        None, "Repository to push to. Default: one of your own with the name of the output folder."
    )
    hub_private_repo: bool = setting(True, "Keep the repository private.")

    def validate(self) -> None:
        """Raise a ValueError for settings that do not go together, and for an output folder without a name."""
        if not self.output_dir.strip():
            raise ValueError(f"training.output_dir must name a folder, got {self.output_dir!r} (. is the current one)")
        if self.warmup_steps and self.lr_scheduler_type == "constant":
            raise ValueError(
                f"training.warmup_steps={self.warmup_steps} has no effect with lr_scheduler_type=constant: use "
                "constant_with_warmup or another schedule"
            )
        if self.kl_schedule == "constant":
            for item in fields(self):
                value = getattr(self, item.name)
                if item.name in ("kl_cycles", "kl_zero_fraction", "kl_ramp_fraction") and value != item.default:
                    raise ValueError(
                        f"training.{item.name}={value} has no effect with kl_schedule=constant: use cyclical"
                    )
        if self.kl_zero_fraction + self.kl_ramp_fraction > 1:
            raise ValueError(
                f"training.kl_zero_fraction={self.kl_zero_fraction} and kl_ramp_fraction={self.kl_ramp_fraction} must "
                "not add up to more than 1"
            )
