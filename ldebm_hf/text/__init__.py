"""Tokenizers, word counts and word vectors."""
