"""The training loop (Algorithm 1): symbols for the epoch, optimiser steps, validation, checkpoints."""

import logging
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from ..data import Corpus
from ..files.locks import InUseError
from ..model.modeling_ldebm import LDEBMModel
from ..reports.plots import plot_validation_curves
from ..reports.run_record import read_metrics
from .annealing import kl_scale
from .batches import Batch, model_inputs, to_device
from .best_model import BestModel
from .checkpoints import CheckpointStore
from .clock import RunClock
from .errors import DivergenceError
from .evaluation import Evaluator, loss_terms
from .examples import prepare_split, prepare_training_split
from .features import FeatureCache
from .fingerprint import run_fingerprint
from .float32_products import float32_products
from .generator_fit import check_labels, fit_prior_of_best
from .labelled_stream import LabelledStream
from .optimization import clip_gradients, make_optimizer, make_scheduler
from .output_folder import OutputFolder
from .processes import average_running_statistics, build_accelerator, lost_process_explained
from .progress import Progress
from .publishing import check_push, publish, run_facts, write_facts
from .randomness import Purpose, seed_noise
from .settings import Settings
from .step_batches import StepBatches, StepPlanner
from .symbols import SymbolAssigner
from .tracking import MetricsLog, StepRecorder, causes_first
from .vocabulary_precision import vocabulary_dtype

logger = logging.getLogger(__name__)

SHORT_NAMES = {
    "reconstruction_loss": "rec",
    "prior_loss": "prior",
    "entropy_loss": "ent",
    "mutual_information": "mi",
    "classification_loss": "cls",
    "symbol_accuracy": "acc",
    "cluster_agreement": "acc",
}
"""Values that the progress bar shows, and what they are called there."""


class Trainer:
    """Trains a model of any modality and prior on a corpus, on any number of processes.

    Everything is written to `settings.training.output_dir`. At the end this folder holds the best model and its
    tokenizer, if it has one, so that `LDEBMModel.from_pretrained(output_dir)` loads it.

    The noise of a step depends only on (seed, step, process), and the order of an epoch only on (seed, epoch). A run
    that was interrupted and resumed therefore ends with exactly the same weights as one that was not.

    Args:
        model ([`LDEBMModel`]): the model to train, on any device.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): its tokenizer, from `build_tokenizer`; `None` for points.
        corpus (`Corpus`): texts or points that `check_corpus` accepts.
        settings (`Settings`): all settings of the run.

    Raises:
        ValueError: settings that do not go together, or an output folder that holds an earlier run.
        InUseError: another run is writing to the output folder.
    """

    def __init__(
        self, model: LDEBMModel, tokenizer: PreTrainedTokenizerBase | None, corpus: Corpus, settings: Settings
    ):
        training = settings.training
        self.model, self.config, self.tokenizer = model, model.config, tokenizer
        self.folder = OutputFolder(training.output_dir)
        check_push(training)
        self.accelerator = build_accelerator(training)
        self.training = training
        with self._folder_locked():  # only for a moment, to find out now whether `train` will be able to lock it
            pass
        with self._float32_products():  # of the vectors of a frozen encoder
            self._prepare_examples(corpus, settings)
        self._prepare_records()
        self._prepare_model()
        self.facts = run_facts(corpus, settings.data.source, model, self.accelerator)

    def _prepare_examples(self, corpus: Corpus, settings: Settings) -> None:
        """Set the training and validation examples, the metric that selects a model, and the number of steps."""
        training, max_length = settings.training, settings.data.max_length
        step_size = training.per_device_train_batch_size * training.gradient_accumulation_steps
        step_size *= self.accelerator.num_processes
        features = self._feature_cache(settings)
        self.examples = prepare_training_split(
            corpus.train, self.config, self.tokenizer, settings.data, step_size, features, self.model.encoder
        )
        self.train_set = self.examples.sample
        self.some_labels_known = corpus.train.num_labelled > 0
        if self.config.prior_class.is_fitted_after_training:
            check_labels(self.train_set, self.config.prior)
        self.labelled_stream = LabelledStream(
            self.train_set.labels,
            training.labelled_batch_size,
            self.config,
            seed=training.seed,
            process=self.accelerator.process_index,
        )
        self.evaluator = Evaluator(
            prepare_split(corpus.validation, self.config, self.tokenizer, max_length, features, self.model.encoder),
            self.config,
            symbols_are_labels=self.some_labels_known,
            batch_size=training.per_device_eval_batch_size,
            seed=training.seed,
        )
        self.settings = self.evaluator.with_metric(settings)
        self.training = self.settings.training
        self.steps_per_epoch = math.ceil(len(self.examples) / step_size)
        self.total_steps = training.max_steps
        if training.max_steps <= 0:
            self.total_steps = training.num_train_epochs * self.steps_per_epoch

    def _feature_cache(self, settings: Settings) -> FeatureCache | None:
        """What computes and keeps the vectors of a frozen pretrained encoder; `None` for other models."""
        if not getattr(self.model.encoder, "is_frozen", False):
            return None
        self.model.encoder.to(self.accelerator.device).eval()
        show_progress = not settings.training.disable_tqdm  # in the process that computes
        return FeatureCache(self.model.encoder, settings.data.features_dir, show_progress=show_progress)

    def _prepare_records(self) -> None:
        """Set what checkpoints keep, what is logged, and what orders the examples and gives them symbols."""
        self.progress = Progress()
        fingerprint = run_fingerprint(self.settings, self.config, self.examples, self.accelerator, self.total_steps)
        self.checkpoints = CheckpointStore(
            self.accelerator,
            self.folder.checkpoints,
            self.training.save_total_limit,
            fingerprint,
            self.progress,
            left_out=self.model.frozen_base_names(),
        )
        self.best_model = BestModel(
            self.model, self.tokenizer, self.folder, self.progress, self.training, self.accelerator
        )
        self.metrics = MetricsLog(self.folder.metrics, self.accelerator)
        self.recorder = StepRecorder(self.accelerator)
        self.clock = RunClock()
        self.symbols = SymbolAssigner(
            self.model,
            self.tokenizer,
            self.train_set,
            self.settings.clustering,
            batch_size=self.training.per_device_eval_batch_size,
            accelerator=self.accelerator,
            progress=self.progress,
            checkpoints=self.checkpoints,
            show_progress=not self.training.disable_tqdm,
        )
        self.planner = StepPlanner(
            self.symbols,
            self.labelled_stream,
            self.settings,
            self.progress,
            self.accelerator,
            self.some_labels_known,
        )

    def _prepare_model(self) -> None:
        """Set the optimiser, its schedule and the wrapped model, which keeps the copies on all processes equal."""
        dtype = getattr(torch, self.training.sampler_dtype)
        if self.training.gradient_checkpointing:
            self.model.recompute_base_layers()
        self.model.prior.optimize_sampler(compile=self.training.compile_sampler, dtype=dtype)
        if self.settings.projects_to_vocabulary:
            self.model.decoder.optimize_vocabulary(vocabulary_dtype(self.settings, self.accelerator))
        optimizer = make_optimizer(self.model, self.training)
        scheduler = make_scheduler(optimizer, self.training, self.total_steps)
        with lost_process_explained(lambda: None):
            prepared = self.accelerator.prepare(self.model, optimizer, scheduler)
        self.wrapped_model, self.optimizer, self.scheduler = prepared

    @property
    def times(self) -> dict[str, float]:
        """`cpu_seconds` and `wall_seconds` of training until now, without interruptions and validation."""
        return self.clock.times

    def train(self) -> dict[str, float]:
        """Run to the end, from the beginning or from the checkpoint that `training.resume` names.

        Returns:
            `dict`: the scores of the last validation; empty if the run had already ended.

        Raises:
            DivergenceError: a loss term or gradient is not finite, or an energy is too large.
            LostProcessError: another process has ended, or was silent for `training.ddp_timeout` seconds.
            FileNotFoundError, ValueError: the checkpoint to resume from is damaged, or of another run.
            InUseError: another run is writing to the output folder.
            OSError: the final model could not be written.
        """
        with self._folder_locked(), self._float32_products():
            return self._train()

    def _float32_products(self) -> AbstractContextManager[None]:
        return float32_products(self.training.float32_matmul_precision, self.accelerator.device)

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        """Keep other runs out of the output folder. The main process holds the lock for all processes of this run.

        A new run is refused a folder with an earlier one, which may have ended while this one was waiting.
        """
        problem: Exception | None = None
        if self.accelerator.is_main_process:
            try:
                self.folder.lock.acquire()
                if self.training.resume is None and not self.training.overwrite_output_dir:
                    self.folder.refuse_earlier_run()
                elif self.training.resume is not None:
                    self.folder.refuse_other_groups(self.model.config.symbol_groups)
            except (InUseError, ValueError) as error:
                problem = error
        try:
            with lost_process_explained(lambda: None):
                problem = gather_object([problem])[0]
            if problem:
                raise problem
            yield
        finally:
            self.folder.lock.release()

    def _train(self) -> dict[str, float]:
        """Train as [`train`] says, in an output folder that no other run writes to."""
        progress, values = self.progress, {}
        with lost_process_explained(lambda: self.checkpoints.last_good):
            self._start()
            try:
                while not self.is_over:
                    with self.clock:
                        self._train_epoch()
                    values = self.validate()
                    if progress.step_in_epoch == self.steps_per_epoch:
                        progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
                    self._save_checkpoint()
            except DivergenceError:
                self.leave()
                raise
            self._finish()
            self.leave()
        self.accelerator.on_main_process(publish)(self.training, self.say)
        return values

    @property
    def notes(self) -> list[str]:
        """What the model does not see of the training and validation texts, with counts; said when training starts."""
        kinds = {"training": self.train_set, "validation": self.evaluator.split}
        if len(self.train_set) < len(self.examples):
            kinds = {"sampled training": self.train_set, "validation": self.evaluator.split}
        return [
            f"{kind} texts: {split.unread} (data.vocab_size, data.max_length)"
            for kind, split in kinds.items()
            if split.unread
        ]

    def leave(self) -> None:
        """End the group of processes; every process must call this."""
        self.accelerator.wait_for_everyone()
        # Let go of the wrapped model first: as the last holder of the group it would end the group with Python's lock
        # held, for which the group's threads may be waiting (pytorch#56297).
        self.wrapped_model = self.model
        self.accelerator.free_memory()
        self.accelerator.end_training()

    def say(self, text: str) -> None:
        """Print a line above any progress bar, on the main process only."""
        if self.accelerator.is_main_process:
            tqdm.write(text)

    def _start(self) -> None:
        """Say what is not read, prepare the output folder, load the checkpoint to resume from, and start the logs."""
        for note in self.notes:
            self.say(f"note: {note}")
        resume = self.training.resume
        if self.accelerator.is_main_process:
            if resume is None:
                self.folder.discard_earlier_run()
            self.folder.repair()
        self.checkpoints.prepare()
        path = None
        if resume == "latest":
            path = self.checkpoints.latest()
        elif resume is not None:
            path = Path(resume)
        if path is not None:
            self.checkpoints.load(path)
            self.say(f"resuming from {path}")
            self.best_model.check(path, self.is_over, self.say)
        elif resume == "latest":
            self.say(f"no checkpoint in {self.folder.checkpoints} yet, starting from the beginning")
        self.metrics.start(self.progress.step, self.settings)
        if self.accelerator.is_main_process:
            if clock_lines := read_metrics(self.folder.path, "clock"):
                self.clock.resume(clock_lines[-1]["values"])
            self.settings.save(self.folder.settings)
            write_facts(self.folder.facts, self.facts)

    @property
    def is_over(self) -> bool:
        """Whether the run has come to its end."""
        return self.progress.step >= self.total_steps or self.progress.finished

    def _train_epoch(self) -> None:
        """Train to the end of the current epoch, or of the run."""
        progress, training = self.progress, self.training
        if progress.step_in_epoch == 0:
            self._start_epoch()
        bar = tqdm(
            total=self.steps_per_epoch,
            initial=progress.step_in_epoch,
            desc=f"epoch {progress.epoch + 1}",
            disable=training.disable_tqdm or not self.accelerator.is_local_main_process,
        )
        for shard in self.examples.shards(progress.step_in_epoch):
            batches = self.planner.batches_of(shard, self.total_steps)
            self.wrapped_model.train()
            self.recorder.restart_clock()
            for step_batches in batches:
                self.recorder.add(progress.step + 1, self._train_step(step_batches))
                progress.step += 1
                progress.step_in_epoch += 1
                bar.update()
                left = min(self.steps_per_epoch - progress.step_in_epoch, self.total_steps - progress.step)
                save = progress.step % training.save_steps == 0 and left > 0  # the last one follows its validation
                if progress.step % training.logging_steps == 0 or save or left == 0:
                    self._log_training(bar)
                if save:
                    self._save_checkpoint()
            if progress.step == self.total_steps:
                break
        bar.close()

    def _start_epoch(self) -> None:
        """Cluster the training examples, if some of them need it."""
        values = self.symbols.start_epoch()
        if values:
            # Logged at the first step that uses them: a run resumed before that step clusters again, and its log drops
            # the lines of that step.
            self.metrics.write(self.progress.step + 1, self.progress.epoch, "clustering", values)

    def _train_step(self, batches: StepBatches) -> dict[str, torch.Tensor]:
        """One optimiser step.

        Returns:
            `dict`: the terms of the loss, whose mean over processes is the mean over all examples of the step.
        """
        accelerator = self.accelerator
        seed_noise(self.training.seed, Purpose.TRAINING_STEP, self.progress.step, accelerator.process_index)
        scale = kl_scale(self.training, self.progress.step, self.total_steps)
        terms: dict[str, torch.Tensor] = {}
        # The labelled stream comes first: its gradients are exchanged between processes with the last micro-batch's.
        labelled_terms = {} if batches.labelled is None else self._train_labelled(batches.labelled)
        for number, (batch, weight) in enumerate(zip(batches.micro_batches, batches.weights, strict=True), start=1):
            batch = to_device(batch, accelerator.device)
            labels = batch["class_labels"] if self.config.has_symbols else None
            is_last = number == len(batches.micro_batches)
            with nullcontext() if is_last else accelerator.no_sync(self.wrapped_model):
                output = self.wrapped_model(**model_inputs(batch), class_labels=labels, kl_scale=scale)
                accelerator.backward(output.loss * weight)
            batch_terms = {name: getattr(output, name).detach() for name in loss_terms(self.config)}
            if self.config.has_symbols:
                targets = batches.targets[batch["indices"]]
                batch_terms["scored"] = (targets >= 0).float().mean()
                batch_terms["hits"] = (output.symbol_logits.argmax(-1) == targets).float().mean()
            terms = {name: terms.get(name, 0) + weight * term for name, term in batch_terms.items()}
        terms |= labelled_terms
        accelerator.unscale_gradients(self.optimizer)
        norms = clip_gradients(self.optimizer, self.training)
        if accelerator.mixed_precision != "fp16":  # where overflowing gradients are normal: they adjust the loss scale
            terms |= norms
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        average_running_statistics(self.model, accelerator)
        return terms

    def _train_labelled(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Add the gradients of the cross-entropy of a labelled batch, and return its terms."""
        batch = to_device(batch, self.accelerator.device)
        labels = batch["class_labels"]
        with self.accelerator.no_sync(self.wrapped_model):
            output = self.wrapped_model(**model_inputs(batch), class_labels=labels, classification_only=True)
            self.accelerator.backward(output.loss)
        hits = (output.symbol_logits.argmax(-1) == labels).float().mean()
        return {"classification_loss": output.classification_loss.detach(), "hits": hits, "scored": hits.new_ones(())}

    def _log(self, split: str, values: dict[str, float]) -> None:
        """Log values at the current step."""
        self.metrics.write(self.progress.step, self.progress.step / self.steps_per_epoch, split, values)

    def _log_training(self, bar: tqdm) -> None:
        """Log the mean terms of the steps since the last log line, and show them beside the progress bar."""
        values = self.recorder.read(self.checkpoints.last_good)
        scored, hits = values.pop("scored", 0), values.pop("hits", 0)
        if scored > 0:
            values["symbol_accuracy" if self.some_labels_known else "cluster_agreement"] = hits / scored
        values["learning_rate"] = self.scheduler.get_last_lr()[0]
        if self.training.kl_schedule != "constant":
            values["kl_scale"] = kl_scale(self.training, self.progress.step - 1, self.total_steps)
        bar.set_postfix({short: f"{values[name]:.3g}" for name, short in SHORT_NAMES.items() if name in values})
        self._log("train", values)

    def validate(self) -> dict[str, float]:
        """Score the model on the validation split, and save it if it is the best so far."""
        progress = self.progress
        values = self.evaluator(self.model, self.accelerator)
        for name in causes_first(values):
            if not math.isfinite(values[name]):
                raise DivergenceError(f"validation {name}", progress.step, values[name], self.checkpoints.last_good)
        self._log("validation", values)
        self.say(f"validation at step {progress.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in values.items()))
        self.best_model.offer(values[self.training.metric_for_best_model])
        return values

    def _save_checkpoint(self) -> None:
        """Write a checkpoint and, before it, the time of the clock: without the checkpoint that line is dropped."""
        self._log("clock", self.times)
        try:
            self.checkpoints.save(self.progress.step)
        except OSError as error:
            if self.accelerator.is_main_process:
                logger.warning("%s; training goes on, the last checkpoint is %s", error, self.checkpoints.last_good)
        self.recorder.restart_clock()

    def _finish(self) -> None:
        """Fit the prior, if that comes last, put the best model into the output folder, and draw the curves."""
        if self.config.prior_class.is_fitted_after_training and self.accelerator.is_main_process:
            self._fit_prior()
        self.best_model.publish()
        if self.accelerator.is_main_process:
            plot_validation_curves(self.folder.metrics, self.folder.curves)

    def _fit_prior(self) -> None:
        """Fit the prior of the best model to the latents of the training examples, on the main process."""
        with self.clock:
            values = fit_prior_of_best(
                self.model, self.tokenizer, self.train_set, self.folder, self.progress.best_step, self.training
            )
        if values:
            self._log("prior_fit", values)
            self._log("clock", self.times)
            self.say(f"generator fitted: prior_distance {values['prior_distance']:.4g}")
