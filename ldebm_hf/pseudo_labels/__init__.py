"""Where a symbol comes from when a text has no label: clustering of latents or words, naive Bayes."""
