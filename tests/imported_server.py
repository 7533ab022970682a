"""Preloaded by the server that forks processes for tests: all that they import.

What it has imported is not searched by their garbage collections, which every training run asks for.
"""

import contextlib
import gc
import importlib
import os

os.fsync = lambda descriptor: None  # as in the tests' own process

# The names of the package are loaded lazily, so that to import the package is not enough.
NEEDED = ("ldebm_hf.training.loop", "ldebm_hf.training.assembly", "ldebm_hf.files.writing", "tiny_models", "pytest",
          "tiny_base_models", "accelerate.checkpointing", "torch.distributed.elastic.multiprocessing")  # fmt: skip
OPTIONAL = ("faiss", "sklearn.metrics", "pyarrow.parquet", "datasets", "peft")

for name in NEEDED:
    importlib.import_module(name)
for name in OPTIONAL:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
gc.freeze()
