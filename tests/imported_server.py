"""Preloaded by the server that forks processes for tests: what it has imported is not searched by their garbage
collections, which every training run asks for."""

import gc

gc.freeze()
