"""A whole model is pickled, hashed and compiled, spectral norms included."""

import pickle

import pytest
import torch
from clean_processes import run_clean
from datasets import Dataset
from datasets.fingerprint import Hasher
from tiny_base_models import bert, llama, pretrained_model
from tiny_models import DIFFUSION_PRESETS, TINY_SIZES, seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
POINTS = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
PRESETS = (*DIFFUSION_PRESETS, "svebm", "vae", "gm_vae", "di_vae", "semi_vae_i", "cgan")
CASES = [(preset, "text") for preset in (*PRESETS, "rnn_lm")]
CASES += [(preset, modality) for modality in ("document", "point") for preset in PRESETS]

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


def four_symbols(preset, modality="text", **settings):
    settings["id2label"] = {symbol: str(symbol) for symbol in range(4)}
    if modality == "text":
        return tiny_model(preset, **settings)
    torch.manual_seed(0)
    sizes = {**TINY_SIZES, **settings, "document_hidden_size": 8, "point_hidden_size": 8}
    return LDEBMModel(LDEBMConfig.from_preset(preset, modality=modality, **sizes)).eval()


def output_of(model, **options):
    inputs = {"points": POINTS} if model.config.modality == "point" else {"input_ids": IDS}
    return model(**inputs, **options)


def assert_same(one, other):
    assert list(one.state_dict()) == list(other.state_dict())
    tensors = zip((*one.parameters(), *one.buffers()), (*other.parameters(), *other.buffers()), strict=True)
    assert all(torch.equal(*pair) for pair in tensors)
    assert torch.equal(output_of(one, generator=seeded()).loss, output_of(other, generator=seeded()).loss)
    for model in (one.train(), other.train()):  # in training the vectors of the spectral norms move
        torch.manual_seed(0)
        output_of(model).loss.backward()
    gradients = ((first.grad, second.grad) for first, second in zip(one.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(*pair) for pair in gradients if pair[0] is not None)


@pytest.mark.parametrize(("preset", "modality"), CASES)
def test_pickled_model_is_the_same(preset, modality, tmp_path):
    model = four_symbols(preset, modality)
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


def test_data_sets_recognise_a_function_of_a_model():
    """`datasets.map` finds what it computed before by a hash of the function, and of the model that it uses."""
    rows = Dataset.from_dict({"input_ids": IDS.tolist()})

    def mapped(model):
        def latents(batch):
            return {"latents": model.encode(torch.tensor(batch["input_ids"])).posterior_mean.tolist()}

        return rows.map(latents, batched=True)

    model = four_symbols("consistent")
    first, again, other = mapped(model), mapped(pickle.loads(pickle.dumps(model))), mapped(four_symbols("vae"))
    assert first._fingerprint == again._fingerprint != other._fingerprint
    torch.testing.assert_close(torch.tensor(first["latents"][:]), model.encode(IDS).posterior_mean)


# Every level, block and step of a chain is traced by itself. A prior sees no more of the modality than its latents, so
# that the chains of one modality are enough.
SHORT = {"langevin_steps": 1, "energy_num_blocks": 1, "num_levels": 2}
COMPILED = {
    "consistent": lambda: four_symbols("consistent", **SHORT),
    "vae": lambda: four_symbols("vae"),
    "documents": lambda: four_symbols("vae", "document"),
    "points": lambda: four_symbols("vae", "point"),
    "pretrained": lambda: pretrained_model(bert(), llama(), "vae")[0],
}


@pytest.mark.parametrize("kind", COMPILED)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_compiled_model_computes_the_same(kind, mode):
    torch.compiler.reset()
    model = COMPILED[kind]().train(mode == "train")
    # This backend traces the model as all backends do and runs what it traced without compiling it, which is quick.
    compiled = torch.compile(pickle.loads(pickle.dumps(model)), backend="eager")
    with torch.no_grad():
        output, expected = output_of(compiled, generator=seeded()), output_of(model, generator=seeded())
        assert output.keys() == expected.keys()
        if mode == "eval":
            for name in output.keys() & {"loss", "logits", "latents"}:
                torch.testing.assert_close(output[name], expected[name])
        else:
            assert output.loss.isfinite()


def test_spawned_worker_receives_a_model(tmp_path):
    model = four_symbols("consistent")
    torch.save(model, tmp_path / "model.pt")
    (tmp_path / "worker.py").write_text(WORKER)
    printed = run_clean("import worker; worker.main('model.pt')", tmp_path)
    assert printed == f"loss {model(IDS, generator=seeded()).loss.item()}\n"
