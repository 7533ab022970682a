"""Symbols for texts without a label: clusters of latents or words, and naive Bayes."""
