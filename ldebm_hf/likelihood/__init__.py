"""Bounds on log p(x), and the published estimator."""
