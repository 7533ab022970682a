"""Named combinations of settings: the diffusion prior, as published and as recommended here, and its baselines.

`"consistent"` and `"published"` set every option of the diffusion prior; the others list their differences from the
defaults of [`LDEBMConfig`]. A baseline has the same encoder, decoder and training loop with another prior, and no
symbols from clustering unless `clustering.enabled` says otherwise.
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # The settings of the published text experiments.
    "published": {
        "noise_schedule": "published",
        "base_level_noise": True,
        "num_levels": 6,
        "noise_range": None,
        "scale_last_level": False,
        "level_sampling": "published",
        "level_weighting": "published",
        "energy_spectral_norm": True,
        "energy_temperature": "step",
        "base_measure": "flat",
        "symbol_levels": "first",
        "log_normalizer_gradient": False,
        "terminal_prior": False,
        "langevin_steps": 50,
        "langevin_step_rule": "published",
        "langevin_step_size": 2e-3,
        "langevin_step_decay": 1.0,
        "langevin_integrator": "euler",
        "langevin_start": "previous",
        "langevin_final_noise": True,
        "langevin_metropolis": False,
        "guided_steps": "fixed",
        "label_guidance": None,
        "kl_weight": 0.1,
        "mutual_information_weight": 0.05,
        "classification_weight": 0.05,
        "entropy_threshold": 1.0,
        "encoder_head_activation": True,
        "normalize_posterior": False,
        "uniform_init_range": 0.1,
    },
    # Sampler, loss and scores share one density, for which an untrained energy gives a standard normal prior; no term
    # of the evidence lower bound is left out; symbols are learned, and samples steered by them, at every level.
    "consistent": {
        "noise_schedule": "published",
        "base_level_noise": False,
        "num_levels": 6,
        "noise_range": None,
        "scale_last_level": False,
        "level_sampling": "published",
        "level_weighting": "likelihood",
        "energy_spectral_norm": True,
        "energy_temperature": "unit",
        "base_measure": "gaussian",
        "symbol_levels": "all",
        "log_normalizer_gradient": True,
        "terminal_prior": True,
        "langevin_steps": 10,
        "langevin_step_rule": "relative",
        "langevin_step_size": 0.9,
        "langevin_step_decay": 0.1,
        "langevin_integrator": "exponential",
        "langevin_start": "gaussian",
        "langevin_final_noise": True,
        "langevin_metropolis": False,
        "guided_steps": None,  # that is, adaptive with this integrator
        "label_guidance": 4.0,
        "kl_weight": 0.2,
        "mutual_information_weight": 0.05,
        "classification_weight": 2.0,
        "entropy_threshold": None,
        "encoder_head_activation": True,
        "normalize_posterior": None,  # that is, True for this prior
        "uniform_init_range": None,
    },
}

# Pang & Wu, ICML 2021: one energy on a standard normal, and short Langevin chains from N(0, I). Their text experiments
# also mask dimensions whose KL is below 1 (not done here) and anneal the weight in cycles (`--kl_schedule cyclical`).
_SINGLE_LEVEL: dict[str, Any] = {
    "num_levels": 1,
    "level_sampling": "all",
    "log_normalizer_gradient": False,
    "terminal_prior": False,
    "energy_network": "mlp",
    "energy_num_blocks": 2,
    "energy_spectral_norm": False,
    "langevin_steps": 40,
    "langevin_step_size": 0.25,
    "langevin_step_decay": 1.0,
    "langevin_integrator": "euler",
    "label_guidance": 1.0,
    "encoder_head_activation": False,
    "normalize_posterior": False,
    "kl_weight": 0.5,
}


def _baseline(prior: str, kl_weight: float = 1.0, information: float = 0.0, **settings) -> dict[str, Any]:
    return {"prior": prior, "kl_weight": kl_weight, "mutual_information_weight": information, **settings}


PRESETS |= {
    "svebm": {**_SINGLE_LEVEL, "mutual_information_weight": 0.0},
    "svebm_ib": {**_SINGLE_LEVEL, "mutual_information_weight": 50.0},
    "ae": _baseline("gaussian", kl_weight=0.0),
    "vae": _baseline("gaussian"),
    # Denoising: the encoder reads texts with missing words, or points with noise.
    "dae": _baseline("gaussian", kl_weight=0.0, word_dropout=0.3, point_noise=1.0),
    "dvae": _baseline("gaussian", word_dropout=0.3, point_noise=1.0),
    # Shi et al., ICML 2020: the dispersion term keeps the components apart; "_i" adds the mutual information I(x; c).
    "gm_vae": _baseline("mixture"),
    "gm_vae_i": _baseline("mixture", information=1.0),
    "dgm_vae": _baseline("mixture", dispersion_weight=1.0),
    "dgm_vae_i": _baseline("mixture", dispersion_weight=0.2, information=1.0),
    # Zhao et al., ACL 2018: with an information weight equal to kl_weight, what remains of the KL is that of the
    # aggregate posterior.
    "discrete_ae": _baseline("discrete", kl_weight=0.0),
    "discrete_vae": _baseline("discrete"),
    "di_vae": _baseline("discrete", information=1.0),
    # Kingma et al., NeurIPS 2014: a Gaussian and a discrete latent, side by side.
    "semi_vae": _baseline("semi"),
    "semi_vae_i": _baseline("semi", information=1.0),
    # Subramanian et al., NeurIPS 2018, on the latents of a denoising autoencoder with a small weight of the KL; the
    # generator is fitted to them at the end of training.
    "cgan": _baseline("adversarial", kl_weight=0.05, word_dropout=0.1, point_noise=0.1),
    "rnn_lm": _baseline("none", kl_weight=0.0),
}
