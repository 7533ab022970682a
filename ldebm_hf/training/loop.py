"""The training loop (Algorithm 1): symbols for the epoch, optimiser steps, validation, checkpoints."""

import logging
import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from ..data import Corpus, StreamedExamples
from ..model.modeling_ldebm import LDEBMModel
from ..pseudo_labels.geometric_clustering import Clusters, balanced_order, check_clustering
from ..reports.plots import plot_validation_curves
from ..reports.run_record import greater_is_better
from .annealing import kl_scale
from .batches import (
    Batch,
    Examples,
    PointExamples,
    Step,
    TokenizedSplit,
    group_by_length,
    model_inputs,
    plan_epoch,
    to_device,
)
from .checkpoints import WRITE_ERRORS, CheckpointStore
from .dialogue_batches import DialogueExamples
from .evaluation import Evaluator, loss_terms
from .fingerprint import run_fingerprint
from .labelled_stream import LabelledStream
from .optimization import clip_gradients, make_optimizer, make_scheduler
from .output_folder import OutputFolder
from .processes import average_running_statistics, lost_process_explained, process_group_options
from .progress import Progress
from .publishing import check_push, publish, run_facts, write_facts
from .randomness import Purpose, generator, seed_noise
from .settings import Settings
from .shards import InMemoryExamples, Part, StreamedTexts, TrainingExamples
from .symbols import fit_clusters, needs_clusters, posterior_means, stability, words_to_cluster
from .tracking import DivergenceError, MetricsLog, StepRecorder

logger = logging.getLogger(__name__)

BAR = {"reconstruction_loss": "rec", "prior_loss": "prior", "entropy_loss": "ent", "mutual_information": "mi",
       "classification_loss": "cls", "symbol_accuracy": "acc", "cluster_agreement": "acc"}  # fmt: skip


class Trainer:
    """Trains a model of any modality and prior on a corpus as the settings say, on as many processes as there are.

    Everything is written below `settings.training.output_dir`; at the end that folder holds the best model, with its
    tokenizer if it has one, so that `LDEBMModel.from_pretrained(output_dir)` works.

    All noise of a step follows from (seed, step, process) and an epoch's order from (seed, epoch), so that a run that
    was killed and resumed ends with the very weights of one that was not.

    Args:
        model (`LDEBMModel`): the model to train, on any device.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): what `build_tokenizer` made for it; `None` for points.
        corpus (`Corpus`): texts or points that `check_corpus` accepts.
        settings (`Settings`): see there for every setting.

    Raises:
        ValueError: settings that do not go together, or an output folder that holds an earlier run.
    """

    def __init__(
        self, model: LDEBMModel, tokenizer: PreTrainedTokenizerBase | None, corpus: Corpus, settings: Settings
    ):
        self.settings, self.training, self.tokenizer = settings, settings.training, tokenizer
        self.config, training = model.config, settings.training
        self.folder = OutputFolder(training.output_dir)
        if training.resume is None and not training.overwrite_output_dir:
            self.folder.refuse_earlier_run()
        check_push(training)
        self.accelerator = Accelerator(
            mixed_precision=training.mixed_precision,
            step_scheduler_with_optimizer=False,
            log_with=[name.strip() for name in training.report_to.split(",") if name.strip() not in ("", "none")]
            or None,
            project_dir=self.folder.path,
            kwargs_handlers=[process_group_options(training.ddp_timeout)],
        )

        if self.config.prior == "diffusion":
            sampler = {"compile": training.compile_sampler, "dtype": getattr(torch, training.sampler_dtype)}
            model.prior.optimize_sampler(**sampler)
        step_size = training.per_device_train_batch_size * training.gradient_accumulation_steps
        step_size *= self.accelerator.num_processes
        self.examples: TrainingExamples
        if isinstance(corpus.train, StreamedExamples):
            self.examples = StreamedTexts(
                corpus.train,
                tokenizer,
                max_length=settings.data.max_length,
                step_size=step_size,
                part_size=settings.data.shuffle_buffer_size,
            )
        else:
            self.examples = InMemoryExamples(self._examples_of(corpus.train))
        self.train_set = self.examples.sample
        self.some_labels_known = corpus.train.num_labelled > 0
        if settings.clustering.enabled and not self.config.has_symbols:
            raise ValueError(f"clustering.enabled=true gives symbols, and prior={self.config.prior!r} has none")
        draws = {"seed": training.seed, "process": self.accelerator.process_index}
        labels, size = self.train_set.labels, training.labelled_batch_size
        self.labelled_stream = LabelledStream(labels, size, self.config, **draws)
        self.words = None
        self.clusters_are_needed = self.config.has_symbols and needs_clusters(labels, settings.clustering)
        if self.clusters_are_needed:
            check_clustering(settings.clustering, self.config.total_latent_size)
            self.words = words_to_cluster(self.train_set, tokenizer, self.config.num_labels, settings.clustering)
        self.evaluator = Evaluator(
            self._examples_of(corpus.validation),
            self.config,
            symbols_are_labels=self.some_labels_known,
            batch_size=training.per_device_eval_batch_size,
            seed=training.seed,
        )
        self.settings = settings = self.evaluator.with_metric(settings)
        self.training = training = settings.training

        self.steps_per_epoch = math.ceil(len(self.examples) / step_size)
        by_epochs = training.num_train_epochs * self.steps_per_epoch
        self.total_steps = training.max_steps if training.max_steps > 0 else by_epochs

        optimizer = make_optimizer(model, training)
        scheduler = make_scheduler(optimizer, training, self.total_steps)
        self.model = model  # as it is; `wrapped_model` keeps the replicas on all processes equal
        with lost_process_explained(lambda: None):
            self.wrapped_model, self.optimizer, self.scheduler = self.accelerator.prepare(model, optimizer, scheduler)
        self.progress = Progress()
        self.accelerator.register_for_checkpointing(self.progress)
        fingerprint = run_fingerprint(settings, self.config, self.examples, self.accelerator, self.total_steps)
        self.checkpoints = CheckpointStore(
            self.accelerator, self.folder.checkpoints, training.save_total_limit, fingerprint
        )
        self.metrics = MetricsLog(self.folder.metrics, self.accelerator)
        self.facts = run_facts(corpus, settings.data.source, model, self.accelerator)
        self.recorder = StepRecorder(self.accelerator, training.max_energy)

    def train(self) -> dict[str, float]:
        """Run to the end, from the beginning or from the checkpoint that `training.resume` names.

        Returns:
            The last validation's values; empty if the run had ended before.

        Raises:
            DivergenceError: a non-finite term or gradient, or an exploding energy.
            LostProcessError: another process has ended, or was silent for `training.ddp_timeout` seconds.
            FileNotFoundError, ValueError: the checkpoint to resume from is not whole, or of another run.
            OSError: the final model could not be written.
        """
        progress, values = self.progress, {}
        with lost_process_explained(lambda: self.checkpoints.last_good):
            self._start()
            try:
                while progress.step < self.total_steps and not progress.finished:
                    self._train_epoch()
                    values = self._validate()
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

    def leave(self) -> None:
        """End the group of processes, which all of them do together."""
        self.accelerator.wait_for_everyone()
        # Let go of the replica first: as the group's last holder it would end the group with Python's lock held, for
        # which the group's threads may be waiting (pytorch#56297).
        self.wrapped_model = self.model
        self.accelerator.free_memory()
        self.accelerator.end_training()

    def say(self, text: str) -> None:
        """Print a line once, above any progress bar."""
        if self.accelerator.is_main_process:
            tqdm.write(text)

    def _examples_of(self, split) -> Examples:
        if self.config.modality == "point":
            return PointExamples.of(split)
        kind = DialogueExamples if self.config.context_size else TokenizedSplit
        return kind.of(split, self.tokenizer, self.settings.data.max_length)

    def _start(self) -> None:
        resume = self.training.resume
        if self.accelerator.is_main_process:
            if resume is None:
                self.folder.discard_earlier_run()
            self.folder.repair()
        self.checkpoints.prepare()
        path = self.checkpoints.latest() if resume == "latest" else Path(resume) if resume else None
        if path is not None:
            self.checkpoints.load(path)
            self.say(f"resuming from {path}")
        elif resume == "latest":
            self.say(f"no checkpoint in {self.folder.checkpoints} yet, starting from the beginning")
        self.metrics.start(self.progress.step, self.settings)
        if self.accelerator.is_main_process:
            self.settings.save(self.folder.settings)
            write_facts(self.folder.facts, self.facts)

    def _train_epoch(self) -> None:
        """What is left of the running epoch, or of the run."""
        progress = self.progress
        if progress.step_in_epoch == 0:
            self._cluster()
        bar = tqdm(
            total=self.steps_per_epoch,
            initial=progress.step_in_epoch,
            desc=f"epoch {progress.epoch + 1}",
            disable=not self.accelerator.is_local_main_process,
        )
        for part in self.examples.parts(progress.step_in_epoch):
            self._train_part(part, bar)
            if progress.step == self.total_steps:
                break
        bar.close()

    def _train_part(self, part: Part, bar: tqdm) -> None:
        """What is left of a part of the epoch, or of the run."""
        progress, training = self.progress, self.training
        done = progress.step_in_epoch - part.first_step
        if done == 0:
            progress.part_assignments = self._assign(part.split)
        symbols = self._symbols(part.split, progress.part_assignments)
        steps = self._plan(part.split, symbols, part.number)[done:][: self.total_steps - progress.step]
        micro_batches = [indices for step in steps for indices in step.micro_batches]
        workers = training.dataloader_num_workers
        if workers is None:
            workers = 2 if self.accelerator.device.type == "cuda" else 0
        taught = self.labelled_stream.others(part.split.labels, symbols)
        batches = iter(part.split.batches(micro_batches, taught, workers))
        labelled = iter(self.labelled_stream.batches(part.split, progress.step, len(steps)))
        self.wrapped_model.train()
        self.recorder.restart_clock()
        for step in steps:
            terms = self._train_step([next(batches) for _ in step.micro_batches], step.weights, next(labelled, None))
            progress.step += 1
            progress.step_in_epoch += 1
            self.recorder.add(progress.step, terms)
            bar.update()
            left = min(self.steps_per_epoch - progress.step_in_epoch, self.total_steps - progress.step)
            save = progress.step % training.save_steps == 0 and left > 0  # the last one is saved after its validation
            if progress.step % training.logging_steps == 0 or save or left == 0:
                self._log_training(bar)
            if save:
                self._save_checkpoint()

    def _train_step(
        self, micro_batches: list[Batch], weights: list[float], labelled: Batch | None = None
    ) -> dict[str, torch.Tensor]:
        """One optimiser step; its terms, weighted so that their mean over processes is the mean over examples."""
        accelerator = self.accelerator
        seed_noise(self.training.seed, Purpose.TRAINING_STEP, self.progress.step, accelerator.process_index)
        scale = kl_scale(self.training, self.progress.step, self.total_steps)
        terms: dict[str, torch.Tensor] = {}
        # First, since its gradients wait for the last micro-batch to be exchanged between processes.
        of_labelled = {} if labelled is None else self._train_labelled(labelled)
        for left, batch, weight in zip(reversed(range(len(weights))), micro_batches, weights, strict=True):
            batch = to_device(batch, accelerator.device)
            labels = batch["class_labels"] if self.config.has_symbols else None
            with accelerator.no_sync(self.wrapped_model) if left else nullcontext():
                output = self.wrapped_model(**model_inputs(batch), class_labels=labels, kl_scale=scale)
                accelerator.backward(output.loss * weight)
            parts = {name: getattr(output, name).detach() for name in loss_terms(self.config)}
            if self.config.has_symbols:
                targets = self.score_targets[batch["indices"]]
                parts["scored"] = (targets >= 0).float().mean()
                parts["hits"] = (output.symbol_logits.argmax(-1) == targets).float().mean()
            terms = {name: terms.get(name, 0) + weight * part for name, part in parts.items()}
        terms |= of_labelled
        accelerator.unscale_gradients(self.optimizer)
        norms = clip_gradients(self.optimizer, self.training)
        if accelerator.mixed_precision != "fp16":  # where the loss scaler finds its scale by overflowing
            terms |= norms
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        average_running_statistics(self.model, accelerator)
        return terms

    def _train_labelled(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Gradients of the labelled stream's cross-entropy; its terms."""
        batch = to_device(batch, self.accelerator.device)
        labels = batch["class_labels"]
        with self.accelerator.no_sync(self.wrapped_model):
            output = self.wrapped_model(**model_inputs(batch), class_labels=labels, classification_only=True)
            self.accelerator.backward(output.loss)
        hits = (output.symbol_logits.argmax(-1) == labels).float().mean()
        return {"classification_loss": output.classification_loss.detach(), "hits": hits, "scored": hits.new_ones(())}

    def _features(self, split: Examples) -> np.ndarray:
        """What is clustered, `(n, size)`."""
        if self.words is not None:
            return self.words.of(split.token_ids)
        means = posterior_means(self.model, split, self.training.per_device_eval_batch_size, self.accelerator)
        wrong = means[~np.isfinite(means)]
        if len(wrong):
            raise DivergenceError("posterior_mean", self.progress.step, float(wrong[0]), self.checkpoints.last_good)
        return means

    def _cluster(self) -> None:
        """Cluster the training examples, of a stream its sample, if some example needs it."""
        if not self.clusters_are_needed:
            return
        labels, settings, progress = self.train_set.labels, self.settings.clustering, self.progress
        previous = progress.assignments.numpy() if len(progress.assignments) else None
        # Words stay what they are, and K-means that starts at the same texts finds the same clusters of them again.
        if self.words is None or previous is None or settings.initialization == "previous":
            fitted = fit_clusters(self._features(self.train_set), labels, previous, self.config.num_labels, settings)
            progress.clusters, progress.assignments = fitted[0].state_dict(), torch.from_numpy(fitted[1])
        assignments = progress.assignments.numpy()
        values = {"clusters_used": float(len(np.unique(assignments)))}
        if previous is not None:
            values["cluster_stability"] = stability(assignments, previous, labels)
        # At the first step that uses them: a run resumed before it clusters again, and drops the line of that step.
        self.metrics.write(progress.step + 1, progress.epoch, "clustering", values)

    def _assign(self, split: Examples) -> torch.Tensor:
        """Every example's cluster `(n,)`: as clustered, or in a stream by the features that texts have now."""
        if split is self.train_set or not self.progress.clusters:
            return self.progress.assignments
        clusters = Clusters.from_state_dict(self.progress.clusters)
        return torch.from_numpy(clusters.assign(self._features(split)))

    def _symbols(self, split: Examples, assignments: torch.Tensor) -> np.ndarray:
        """What the classifier is trained towards, `(n,)`: the label, else the cluster, else -100 (unknown)."""
        labels, assignments = split.labels, np.asarray(assignments)
        symbols = np.where(labels >= 0, labels, assignments) if len(assignments) else labels
        targets = labels if self.some_labels_known else symbols
        self.score_targets = torch.from_numpy(targets).to(self.accelerator.device)
        return symbols

    def _plan(self, split: Examples, symbols: np.ndarray, part: int = 0) -> list[Step]:
        """This process's share of every optimiser step of a part of the epoch."""
        rng = generator(self.training.seed, Purpose.EPOCH_ORDER, self.progress.epoch, part)
        balanced = self.settings.clustering.balanced_resampling and len(self.progress.assignments) > 0
        order = balanced_order(symbols, rng) if balanced else rng.permutation(len(symbols))
        batch_size, num_processes = self.training.per_device_train_batch_size, self.accelerator.num_processes
        if self.training.group_by_length:  # for all processes alike, so that none waits for another
            order = group_by_length(order, split.lengths, batch_size * num_processes, rng)
        return plan_epoch(
            order,
            batch_size,
            num_micro_batches=self.training.gradient_accumulation_steps,
            num_processes=num_processes,
            process=self.accelerator.process_index,
        )

    def _log_training(self, bar: tqdm) -> None:
        values = self.recorder.read(self.checkpoints.last_good)
        scored, hits = values.pop("scored", 0), values.pop("hits", 0)
        if scored > 0:
            values["symbol_accuracy" if self.some_labels_known else "cluster_agreement"] = hits / scored
        values["learning_rate"] = self.scheduler.get_last_lr()[0]
        if self.training.kl_schedule != "constant":
            values["kl_scale"] = kl_scale(self.training, self.progress.step - 1, self.total_steps)
        bar.set_postfix({short: f"{values[name]:.3g}" for name, short in BAR.items() if name in values})
        self.metrics.write(self.progress.step, self.progress.step / self.steps_per_epoch, "train", values)

    def _validate(self) -> dict[str, float]:
        """Score the model on the validation split, and keep it if it is the best so far."""
        progress, training = self.progress, self.training
        values = self.evaluator(self.model, self.accelerator)
        for name, value in values.items():
            if not math.isfinite(value):
                raise DivergenceError(f"validation {name}", progress.step, value, self.checkpoints.last_good)
        self.metrics.write(progress.step, progress.step / self.steps_per_epoch, "validation", values)
        self.say(f"validation at step {progress.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in values.items()))
        name, best = training.metric_for_best_model, progress.best_metric
        metric, greater = values[name], greater_is_better(name, training.greater_is_better)
        is_best = best is None or (metric > best if greater else metric < best)
        progress.record_validation(is_best and self._save_best(), metric, training.early_stopping_patience)
        return values

    def _save_best(self) -> bool:
        """Whether the model could be saved."""
        saved = True
        if self.accelerator.is_main_process:
            try:
                self.folder.save_best(self.model, self.tokenizer)
            except WRITE_ERRORS as error:
                logger.warning("could not save the best model so far, the one before stays: %s", error)
                saved = False
        return gather_object([saved])[0]

    def _save_checkpoint(self) -> None:
        try:
            self.checkpoints.save(self.progress.step)
        except OSError as error:
            if self.accelerator.is_main_process:
                logger.warning("%s; training goes on, the last checkpoint is %s", error, self.checkpoints.last_good)
        self.recorder.restart_clock()

    def _finish(self) -> None:
        if self.accelerator.is_main_process:
            if self.progress.best_metric is None:  # no validation's model could be saved: a last attempt
                self.folder.save_best(self.model, self.tokenizer)
            self.folder.publish_best()
            plot_validation_curves(self.folder.metrics, self.folder.curves)
