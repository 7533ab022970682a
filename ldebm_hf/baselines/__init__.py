"""Baselines that the models are compared with."""
