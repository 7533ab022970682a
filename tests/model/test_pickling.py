"""A whole model is pickled, hashed and compiled, spectral norms included."""

import pickle

import pytest
import torch
from clean_processes import run_clean
from datasets.fingerprint import Hasher
from tiny_models import DIFFUSION_PRESETS, seeded, tiny_model

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
PRESETS = (*DIFFUSION_PRESETS, "svebm", "vae", "gm_vae", "semi_vae_i")

WORKER = """
import torch, torch.multiprocessing as multiprocessing

def loss(model, queue):
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    queue.put(model(ids, generator=torch.Generator().manual_seed(0)).loss.item())

def main(path):
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    worker = context.Process(target=loss, args=(torch.load(path, weights_only=False), queue))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    print("loss", queue.get())
"""


def four_symbols(preset):
    return tiny_model(preset, id2label={symbol: str(symbol) for symbol in range(4)})


def assert_same(one, other):
    assert list(one.state_dict()) == list(other.state_dict())
    tensors = zip((*one.parameters(), *one.buffers()), (*other.parameters(), *other.buffers()), strict=True)
    assert all(torch.equal(*pair) for pair in tensors)
    assert torch.equal(one(IDS, generator=seeded()).loss, other(IDS, generator=seeded()).loss)
    for model in (one.train(), other.train()):  # in training the vectors of the spectral norms move
        torch.manual_seed(0)
        model(IDS).loss.backward()
    gradients = ((first.grad, second.grad) for first, second in zip(one.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(*pair) for pair in gradients if pair[0] is not None)


@pytest.mark.parametrize("preset", PRESETS)
def test_pickled_model_is_the_same(preset, tmp_path):
    model = four_symbols(preset)
    state = torch.random.get_rng_state()
    twin = pickle.loads(pickle.dumps(model))
    torch.save(model, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert Hasher.hash(twin) == Hasher.hash(loaded) == Hasher.hash(model)
    assert_same(loaded, model)
    assert_same(twin, pickle.loads(pickle.dumps(twin)))


def test_hash_tells_models_apart():
    model, other = four_symbols("consistent"), four_symbols("consistent")
    with torch.no_grad():
        other.prior.energy.merge.bias.add_(1)
    assert Hasher.hash(model) != Hasher.hash(other)


@pytest.mark.parametrize("preset", ["consistent", "vae"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_compiled_model_computes_the_same(preset, mode):
    torch.compiler.reset()
    model = four_symbols(preset).train(mode == "train")
    # This backend traces the model as all backends do and runs what it traced without compiling it, which is quick.
    compiled = torch.compile(pickle.loads(pickle.dumps(model)), backend="eager")
    with torch.no_grad():
        output, expected = compiled(IDS, generator=seeded()), model(IDS, generator=seeded())
        assert output.keys() == expected.keys()
        if mode == "eval":
            for name in ("loss", "logits", "latents"):
                torch.testing.assert_close(output[name], expected[name])
        else:
            assert output.loss.isfinite()


def test_spawned_worker_receives_a_model(tmp_path):
    model = four_symbols("consistent")
    torch.save(model, tmp_path / "model.pt")
    (tmp_path / "worker.py").write_text(WORKER)
    printed = run_clean("import worker; worker.main('model.pt')", tmp_path)
    assert printed == f"loss {model(IDS, generator=seeded()).loss.item()}\n"
