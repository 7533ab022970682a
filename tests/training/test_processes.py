"""Two processes on the CPU, started as torchrun starts them: same replicas, same symbols, same course when resumed."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import NOISELESS_MODEL, assert_same_weights, remove_noise, tiny_corpus, tiny_trainer, weights

from ldebm_hf.training import DivergenceError, Trainer, evaluation, loop

CORPUS = tiny_corpus(num_train=43, labels="some")


def run_as_rank(rank: int, port: int, task, output_dir: Path, training: dict) -> None:
    os.environ |= {
        "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    evaluation.NUM_PRIOR_SAMPLES = 32
    loop.plot_validation_curves = lambda *_: False
    trainer = tiny_trainer(output_dir, CORPUS, **training)
    task(trainer, rank)


@pytest.fixture
def on_two_processes(processes):
    def run(task, output_dir: Path, **training) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        ranks = [
            processes.Process(target=run_as_rank, args=(rank, port, task, output_dir, training)) for rank in (0, 1)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(timeout=120)
            if process.is_alive():
                process.kill()
        assert [process.exitcode for process in ranks] == [0, 0]

    return run


def train_and_dump(trainer: Trainer, rank: int) -> None:
    values = trainer.train()
    dump = {"weights": weights(trainer), "assignments": trainer.progress.assignments, "values": values}
    torch.save(dump, trainer.folder.path / f"rank{rank}.pt")


def dumps(output_dir: Path) -> list[dict]:
    return [torch.load(output_dir / f"rank{rank}.pt") for rank in (0, 1)]


def test_replicas_symbols_and_values_are_the_same_and_resuming_changes_nothing(on_two_processes, tmp_path):
    settings = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "save_steps": 2}
    on_two_processes(train_and_dump, tmp_path / "whole", **settings)
    first, second = dumps(tmp_path / "whole")
    assert_same_weights(first["weights"], second["weights"])
    assert torch.equal(first["assignments"], second["assignments"]) and len(first["assignments"]) == 43
    assert first["values"] == second["values"]

    on_two_processes(train_and_dump, tmp_path / "parts", **settings, max_steps=4)
    on_two_processes(train_and_dump, tmp_path / "parts", **settings, resume="latest")
    assert_same_weights(dumps(tmp_path / "parts")[1]["weights"], first["weights"])


def dump_features(trainer: Trainer, rank: int) -> None:
    features = loop.posterior_means(trainer.model, trainer.train_set, 8, trainer.accelerator)
    values = trainer.evaluator(trainer.model, trainer.accelerator)
    torch.save({"features": features.tolist(), "values": values}, trainer.folder.path.parent / f"rank{rank}.pt")
    trainer.accelerator.end_training()


def test_clustering_and_validation_do_not_depend_on_how_many_share_them(on_two_processes, tmp_path):
    on_two_processes(dump_features, tmp_path / "run", per_device_eval_batch_size=5)
    first, second = dumps(tmp_path)
    alone = tiny_trainer(tmp_path / "run", CORPUS, per_device_eval_batch_size=5)
    features = loop.posterior_means(alone.model, alone.train_set, 8, alone.accelerator)
    np.testing.assert_array_equal(np.float32(first["features"]), features)
    assert first["values"] == second["values"] == alone.evaluator(alone.model, alone.accelerator)


def diverge_on_one_process(trainer: Trainer, rank: int) -> None:
    def hook(module, arguments, output):
        if module.training and rank == 1 and trainer.progress.step == 1:
            output["prior_loss"] = output["prior_loss"] * float("nan")

    trainer.model.register_forward_hook(hook)
    with pytest.raises(DivergenceError, match="step 2: prior_loss is nan"):
        trainer.train()
    trainer.accelerator.end_training()


def test_divergence_on_one_process_stops_all(on_two_processes, tmp_path):
    on_two_processes(diverge_on_one_process, tmp_path)


def fill_the_disk_of_one_process(trainer: Trainer, rank: int) -> None:
    save_state, calls = trainer.accelerator.save_state, []

    def disk_full_on_one(path):
        calls.append(path)
        if rank == 1 and len(calls) == 1:
            raise OSError(28, "No space left on device")
        return save_state(path)

    trainer.accelerator.save_state = disk_full_on_one
    trainer.train()
    assert trainer.checkpoints.last_good.name == "step-00000003"
    assert [path.name for path in trainer.checkpoints.paths()] == ["step-00000003"]


def test_full_disk_of_one_process_does_not_tear_them_apart(on_two_processes, tmp_path):
    on_two_processes(fill_the_disk_of_one_process, tmp_path, max_steps=3, save_steps=1, save_total_limit=1)


def dump_gradient(trainer: Trainer, rank: int) -> None:
    trainer.optimizer.zero_grad = lambda: None
    trainer.train()
    torch.save({n: p.grad for n, p in trainer.model.named_parameters()}, trainer.folder.path.parent / f"rank{rank}.pt")


def dump_noiseless_gradient(trainer: Trainer, rank: int) -> None:
    remove_noise(pytest.MonkeyPatch())
    dump_gradient(trainer, rank)


def test_gradients_are_those_of_one_process_with_the_whole_batch(on_two_processes, tmp_path, monkeypatch):
    settings = {"model": NOISELESS_MODEL, "max_steps": 1, "group_by_length": True}
    on_two_processes(dump_noiseless_gradient, tmp_path / "two", per_device_train_batch_size=4, **settings)
    remove_noise(monkeypatch)
    dump_gradient(tiny_trainer(tmp_path / "one", CORPUS, per_device_train_batch_size=8, **settings), rank=0)
    expected = torch.load(tmp_path / "rank0.pt")
    for name, gradient in torch.load(tmp_path / "rank1.pt").items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6, msg=name)
