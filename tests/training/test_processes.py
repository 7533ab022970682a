"""Two processes on the CPU, started as torchrun starts them: same replicas, same symbols, same course when resumed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import weakref
from contextlib import nullcontext
from pathlib import Path

import noiseless_run
import numpy as np
import pytest
import torch
from clean_processes import StartedPython
from tiny_base_models import bert, llama
from tiny_runs import (
    NOISELESS_MODEL,
    assert_same_weights,
    remove_noise,
    tiny_corpus,
    tiny_stream,
    tiny_trainer,
    weights,
)

from ldebm_hf.data import Corpus
from ldebm_hf.files.locks import InUseError
from ldebm_hf.training import DivergenceError, LostProcessError, Trainer, evaluation, loop
from ldebm_hf.training.output_folder import OutputFolder
from ldebm_hf.training.symbols import posterior_means

CORPUS = tiny_corpus(num_train=43, labels="some")


def run_as_rank(rank: int, port: int, task, output_dir: Path, training: dict, corpus: Corpus) -> None:
    os.environ |= {
        "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    evaluation.NUM_PRIOR_SAMPLES = 32
    loop.plot_validation_curves = lambda *_: False
    trainer = tiny_trainer(output_dir, corpus, **training)
    task(trainer, rank)


def train_noiselessly(trainer: Trainer, rank: int) -> None:
    remove_noise(pytest.MonkeyPatch())
    train_and_dump(trainer, rank)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def on_two_processes(processes):
    def run(task, output_dir: Path, exitcodes: tuple[int, int] = (0, 0), corpus=CORPUS, **training) -> None:
        port = free_port()
        ranks = [
            processes.Process(target=run_as_rank, args=(rank, port, task, output_dir, training, corpus))
            for rank in (0, 1)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(timeout=120)
            if process.is_alive():
                process.kill()
                process.join()
        assert tuple(process.exitcode for process in ranks) == exitcodes

    return run


def train_and_dump(trainer: Trainer, rank: int) -> None:
    replica = weakref.ref(trainer.wrapped_model)
    values = trainer.train()
    assert replica() is None  # else it may end the group with Python's lock held, and wait for a thread that needs it
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


@pytest.mark.parametrize("model", [{}, {"modality": "document", "document_hidden_size": 16}], ids=["text", "document"])
def test_replicas_are_the_same_with_a_labelled_stream(on_two_processes, tmp_path, model):
    settings = {"model": model, "labelled_batch_size": 5, "per_device_train_batch_size": 4}
    settings |= {"save_steps": 2, "save_total_limit": 10}
    on_two_processes(train_and_dump, tmp_path / "whole", **settings)
    first, second = dumps(tmp_path / "whole")
    assert_same_weights(first["weights"], second["weights"])
    checkpoint = str(tmp_path / "whole" / "checkpoints" / "step-00000004")
    on_two_processes(train_and_dump, tmp_path / "resumed", **settings, resume=checkpoint)
    assert_same_weights(dumps(tmp_path / "resumed")[1]["weights"], first["weights"])


def test_pretrained_parts_are_the_same_on_both_and_resuming_changes_nothing(on_two_processes, tmp_path):
    """One process computes the vectors of the frozen encoder, both read them; the adapters of both are the same."""
    model = {"encoder": "pretrained", "encoder_name_or_path": str(bert()),
             "decoder": "pretrained", "decoder_name_or_path": str(llama()), "decoder_lora_rank": 2}  # fmt: skip
    run = {"model": model, "data": {"features_dir": str(tmp_path / "vectors")}, "num_train_epochs": 2}
    run |= {"clustering": {"features": "encoder"}, "save_steps": 2, "save_total_limit": 10}
    on_two_processes(train_and_dump, tmp_path / "whole", **run)
    first, second = dumps(tmp_path / "whole")
    assert_same_weights(first["weights"], second["weights"])
    assert torch.equal(first["assignments"], second["assignments"]) and first["values"] == second["values"]
    assert len(list((tmp_path / "vectors").iterdir())) == 2  # of training and validation texts, each once
    checkpoint = str(tmp_path / "whole" / "checkpoints" / "step-00000002")
    on_two_processes(train_and_dump, tmp_path / "resumed", resume=checkpoint, **run)
    assert_same_weights(first["weights"], dumps(tmp_path / "resumed")[0]["weights"])


def refuse_on_both(trainer: Trainer, rank: int) -> None:
    other_run = nullcontext() if rank else OutputFolder(trainer.folder.path).lock
    with other_run, pytest.raises(InUseError, match="is in use by process"):
        trainer.train()
    train_and_dump(trainer, rank)


def test_processes_of_one_run_share_its_folder_and_are_all_kept_out_of_anothers(on_two_processes, tmp_path):
    on_two_processes(refuse_on_both, tmp_path / "run", max_steps=2)
    first, second = dumps(tmp_path / "run")
    assert_same_weights(first["weights"], second["weights"])
    assert not list((tmp_path / "run").glob(".lock*"))


def dump_features(trainer: Trainer, rank: int) -> None:
    features = posterior_means(trainer.model, trainer.train_set, 8, trainer.accelerator)
    values = trainer.evaluator(trainer.model, trainer.accelerator)
    torch.save({"features": features.tolist(), "values": values}, trainer.folder.path.parent / f"rank{rank}.pt")
    trainer.leave()


def test_clustering_and_validation_do_not_depend_on_how_many_share_them(on_two_processes, tmp_path):
    on_two_processes(dump_features, tmp_path / "run", per_device_eval_batch_size=5)
    first, second = dumps(tmp_path)
    alone = tiny_trainer(tmp_path / "run", CORPUS, per_device_eval_batch_size=5)
    features = posterior_means(alone.model, alone.train_set, 8, alone.accelerator)
    np.testing.assert_array_equal(np.float32(first["features"]), features)
    assert first["values"] == second["values"] == alone.evaluator(alone.model, alone.accelerator)


def diverge_on_one_process(trainer: Trainer, rank: int) -> None:
    def hook(module, arguments, output):
        if module.training and rank == 1 and trainer.progress.step == 1:
            output["prior_loss"] = output["prior_loss"] * float("nan")

    trainer.model.register_forward_hook(hook)
    with pytest.raises(DivergenceError, match="step 2: prior_loss is nan"):
        trainer.train()


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
    settings = {"model": NOISELESS_MODEL, "max_steps": 1}
    on_two_processes(dump_noiseless_gradient, tmp_path / "two", per_device_train_batch_size=4, **settings)
    remove_noise(monkeypatch)
    dump_gradient(tiny_trainer(tmp_path / "one", CORPUS, per_device_train_batch_size=8, **settings), rank=0)
    expected = torch.load(tmp_path / "rank0.pt")
    for name, gradient in torch.load(tmp_path / "rank1.pt").items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6, msg=name)


def losses(output_dir: Path) -> list[float]:
    lines = [json.loads(line) for line in (output_dir / "metrics.jsonl").read_text().splitlines()]
    return [line["values"]["loss"] for line in lines if line["split"] == "train"]


@pytest.fixture
def two_hosts():
    """Two network namespaces, joined by one virtual cable: their names, addresses and interfaces."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("simulated hosts need root and iproute2's `ip`")
    hosts = [(f"ldebm{os.getpid()}h{i}", f"10.77.0.{i + 1}", f"ldebm{i}") for i in (0, 1)]
    (first, _, first_end), (second, _, second_end) = hosts
    commands = [f"netns add {first}", f"netns add {second}"]
    commands += [f"link add {first_end} netns {first} type veth peer name {second_end} netns {second}"]
    for name, address, end in hosts:
        commands += [f"-n {name} addr add {address}/24 dev {end}", f"-n {name} link set lo up"]
        commands += [f"-n {name} link set {end} up"]
    try:
        for command in commands:
            made = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"this system allows no network namespaces: {made.stderr.strip()}")
        yield hosts
    finally:
        for name, _, _ in hosts:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_hosts_have_the_loss_curve_of_one_process_with_the_whole_batch(two_hosts, tmp_path):
    """torchrun on each host, as the how-to page says. The same curve but for the order of float32 sums."""
    environment = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    launch = (
        f"-m torch.distributed.run --nnodes 2 --nproc_per_node 1 --master_addr {two_hosts[0][1]} --master_port 29500"
    )
    script = [str(Path(__file__).with_name("noiseless_run.py")), str(tmp_path / "two"), "4"]
    started = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, *launch.split(), "--node_rank", str(rank), *script],
            env=os.environ | environment | {"GLOO_SOCKET_IFNAME": interface},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, (name, _, interface) in enumerate(two_hosts)
    ]
    try:
        ends = [process.communicate(timeout=240)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], ends
    noiseless_run.main(str(tmp_path / "one"), "8")
    assert len(losses(tmp_path / "one")) == 18
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


def test_stream_shared_by_two_processes_has_the_loss_curve_of_one(on_two_processes, tmp_path, monkeypatch):
    """Each trains on its own texts of every step. The same curve but for the order of float32 sums."""
    pytest.importorskip("datasets", reason="streaming reads with datasets")
    corpus = tiny_stream(tmp_path, CORPUS)
    settings = {"model": NOISELESS_MODEL, "data": {"shuffle_buffer_size": 16}, "logging_steps": 1}
    on_two_processes(train_noiselessly, tmp_path / "two", corpus=corpus, per_device_train_batch_size=4, **settings)
    first, second = dumps(tmp_path / "two")
    assert_same_weights(first["weights"], second["weights"])
    remove_noise(monkeypatch)
    tiny_trainer(tmp_path / "one", corpus, per_device_train_batch_size=8, **settings).train()
    assert len(losses(tmp_path / "one")) == 12
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


def lose_the_second_process(trainer: Trainer, rank: int) -> None:
    def die(module, arguments):
        if module.training and rank == 1 and trainer.progress.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.model.register_forward_pre_hook(die)
    with pytest.raises(LostProcessError, match="the last checkpoint is .*step-00000004.*--resume latest"):
        trainer.train()


def test_process_that_dies_ends_the_other_with_a_clear_message_and_the_run_resumes(on_two_processes, tmp_path):
    settings = {"per_device_train_batch_size": 4, "save_steps": 2}
    on_two_processes(lose_the_second_process, tmp_path / "lost", exitcodes=(0, -signal.SIGKILL), **settings)
    on_two_processes(train_and_dump, tmp_path / "lost", **settings, resume="latest")
    on_two_processes(train_and_dump, tmp_path / "whole", **settings)
    assert_same_weights(dumps(tmp_path / "lost")[0]["weights"], dumps(tmp_path / "whole")[0]["weights"])


def fall_silent(trainer: Trainer, rank: int) -> None:
    """A machine whose network is gone answers nothing, and closes no connection, while the others give it up."""
    given_up = trainer.folder.path / "given_up"

    def hang(module, arguments):
        if module.training and rank == 1 and trainer.progress.step == 1:
            patience = 90
            while not given_up.exists() and patience > 0:
                time.sleep(0.5)
                patience -= 0.5
            os._exit(0 if given_up.exists() else 1)

    trainer.model.register_forward_pre_hook(hang)
    with pytest.raises(LostProcessError, match="no checkpoint had been written yet"):
        trainer.train()
    given_up.touch()


def test_silent_process_counts_as_lost_after_the_timeout(on_two_processes, tmp_path):
    on_two_processes(fall_silent, tmp_path, ddp_timeout=8)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds torchrun's processes in /proc")
def test_launched_run_whose_process_dies_ends_and_says_how_to_go_on(tmp_path):
    """examples/train.py under torchrun: the launcher ends the other process, which says what to do."""
    train = Path(__file__).parents[2] / "examples" / "train.py"
    launch = f"-m torch.distributed.run --nproc_per_node 2 --master_addr 127.0.0.1 --master_port {free_port()}"
    sizes = "--embedding_size 8 --encoder_hidden_size 8 --decoder_hidden_size 8 --latent_size 4 --energy_hidden_size 8"
    choices = f"--output_dir {tmp_path} --max_train_examples 400 --num_train_epochs 999 --save_steps 5 {sizes}"
    with (tmp_path / "output").open("w") as output:
        launcher = StartedPython(
            [*launch.split(), train, *choices.split(), "--langevin_steps", "1"],
            environment=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
            output=output.fileno(),
            errors=output.fileno(),
        )
        try:
            deadline = time.monotonic() + 120
            while not any((tmp_path / "checkpoints").glob("step-*")):
                assert launcher.poll() is None and time.monotonic() < deadline, (tmp_path / "output").read_text()
                time.sleep(0.2)
            os.kill(children(launcher.pid)[-1], signal.SIGKILL)
            assert launcher.wait(timeout=60) != 0
        finally:
            launcher.kill()
    text = (tmp_path / "output").read_text()
    assert "SIGKILL" in text and "--resume latest" in text


def check_imports() -> None:
    sys.exit("imported_server" not in sys.modules or "ldebm_hf.training.loop" not in sys.modules)


def test_processes_of_tests_start_with_everything_imported(processes):
    """What cannot be preloaded is imported by every process without a word, which takes most of its time."""
    process = processes.Process(target=check_imports)
    process.start()
    process.join()
    assert process.exitcode == 0
