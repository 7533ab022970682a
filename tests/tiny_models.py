"""The sizes of a text model that runs in milliseconds; settings for `LDEBMConfig`."""

TINY_SIZES = {
    "vocab_size": 12,
    "id2label": {0: "good", 1: "bad", 2: "neutral"},
    "embedding_size": 8,
    "encoder_hidden_size": 8,
    "decoder_hidden_size": 8,
    "latent_size": 4,
    "energy_hidden_size": 16,
    "energy_num_blocks": 2,
    "langevin_steps": 3,
}
