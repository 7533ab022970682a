"""The yardstick: the model as the published experiments ran it, written plainly and as slow as that was.

Spectral norms are estimated anew, with a power iteration, in every forward of the energy, and the level is embedded
there; every Langevin step goes through autograd; the two level groups of a training step have a chain each; texts are
padded to 40 tokens, all of which the networks compute; the vocabulary's logits and log-probabilities are written out;
every sentence is generated to full length. Weights come from an `LDEBMModel`, so that both do the same work.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.energy import sinusoidal_embedding
from ldebm_hf.model.noise import draw, gaussian_like

LENGTH = 40  # tokens to which every text is padded and every sentence generated
SLOPE = 0.2


class PublishedEnergy(nn.Module):
    """f(z̃, t), `(batch, symbols)`."""

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        width = config.energy_hidden_size
        self.register_buffer("table", sinusoidal_embedding(config.num_levels, width), persistent=False)
        self.latent_hidden = spectral_norm(nn.Linear(config.latent_size, width))
        self.latent_output = spectral_norm(nn.Linear(width, width))
        self.level_hidden = spectral_norm(nn.Linear(width, width))
        self.level_output = spectral_norm(nn.Linear(width, width))
        self.merge = spectral_norm(nn.Linear(2 * width, width))
        self.blocks = nn.ModuleList(spectral_norm(nn.Linear(width, width)) for _ in range(config.energy_num_blocks))
        self.head = spectral_norm(nn.Linear(width, config.num_labels))

    def forward(self, scaled: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        embedding = self.level_output(F.leaky_relu(self.level_hidden(self.table[level]), SLOPE))
        latent = self.latent_output(F.leaky_relu(self.latent_hidden(scaled), SLOPE))
        hidden = self.merge(F.leaky_relu(torch.cat([latent, embedding], -1), SLOPE))
        for block in self.blocks:
            hidden = hidden + block(F.leaky_relu(hidden, SLOPE))
        return self.head(F.leaky_relu(hidden, SLOPE))


class PublishedStyle(nn.Module):
    """The published text model with `model`'s settings and weights."""

    def __init__(self, model: LDEBMModel):
        super().__init__()
        config = self.config = model.config
        self.tables = model.prior.levels
        self.energy = PublishedEnergy(config)
        self._copy_energy(model.prior.energy)
        self.encoder, self.decoder = model.encoder, model.decoder  # their parameters, not their forwards

    def _copy_energy(self, source: nn.Module) -> None:
        renamed = {"level_hidden": "level.hidden", "level_output": "level.output"}
        weights = source.state_dict()
        for name in self.energy.state_dict():
            layer, dot, rest = name.partition(".")
            self.energy.state_dict()[name].copy_(weights[renamed.get(layer, layer) + dot + rest])

    def free_energy(self, scaled: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return self.energy(scaled, level).logsumexp(-1)

    def chain(self, z_next: torch.Tensor, level: torch.Tensor, noises: torch.Tensor | None = None) -> torch.Tensor:
        """Langevin steps from z_{t+1} by autograd; `noises`, `(steps, batch, d)`, stand in for fresh ones."""
        tables, t = self.tables, level[:, None]
        variance, step_variance = tables.step_std[t].square(), tables.langevin_variance[t]
        parameters = list(self.energy.parameters())
        for parameter in parameters:
            parameter.requires_grad_(False)
        state = z_next.detach().clone()
        for step in range(self.config.langevin_steps):
            state.requires_grad_(True)
            energy = self.free_energy(state, level) / tables.temperature[level]
            (gradient,) = torch.autograd.grad(energy.sum(), state)
            noise = gaussian_like(state) if noises is None else noises[step]
            pull = (state.detach() - tables.center_scale[t] * z_next.detach()) / variance
            state = state.detach() + 0.5 * step_variance * (gradient - pull) + step_variance.sqrt() * noise
        for parameter in parameters:
            parameter.requires_grad_(True)
        return state

    def prior_terms(self, latents: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        """All of a training step's terms that go through the energy network, weighted and summed."""
        config, tables, batch_size = self.config, self.tables, len(latents)
        drawn = torch.randint(0, config.num_levels - 1, (batch_size,), device=latents.device)
        groups = [drawn, torch.full_like(drawn, config.num_levels - 1)]
        pairs = [tables.diffuse(latents, level) for level in groups]
        weights = [tables.energy_weight[level] for level in groups]
        loss = latents.new_zeros(())
        self.energy.requires_grad_(False)
        for level, weight, (positive, _) in zip(groups, weights, pairs, strict=True):
            loss = loss - (weight * self.free_energy(positive, level)).mean()
        loss = loss + tables.quadratic_weight[-1] * pairs[-1][0].square().sum(-1).mean() / 2
        self.energy.requires_grad_(True)
        negatives = [self.chain(z_next, level) for level, (_, z_next) in zip(groups, pairs, strict=True)]
        for level, weight, (positive, _), negative in zip(groups, weights, pairs, negatives, strict=True):
            contrast = self.free_energy(negative, level) - self.free_energy(positive.detach(), level)
            loss = loss + (weight * contrast).mean()
        first = torch.zeros_like(drawn)
        probability = self.energy(tables.first_level(latents, base_noise=True), first).softmax(-1)
        marginal = probability.mean(0)
        information = (probability * (probability + 1e-15).log()).sum(-1).mean() - (marginal * marginal.log()).sum()
        logits = self.energy(tables.first_level(latents, base_noise=True), first)
        classification = F.cross_entropy(logits, class_labels)
        return (
            config.kl_weight * loss
            - config.mutual_information_weight * information
            + config.classification_weight * classification
        )

    def loss(self, input_ids: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        """The whole objective on texts padded to 40 tokens, `(batch, 40)`."""
        config = self.config
        _, final = self.encoder.rnn(self.encoder.embedding(input_ids))
        features = F.leaky_relu(final.transpose(0, 1).flatten(1), 0.01)
        heads = self.encoder.heads
        mean, log_variance = heads.mean(features), heads.log_variance(features)
        latents = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        hidden, _ = self.decoder(input_ids[:, :-1], latents)
        log_probability = self.decoder.logits(hidden).log_softmax(-1)
        nll = F.nll_loss(
            log_probability.flatten(0, 1),
            input_ids[:, 1:].flatten(),
            ignore_index=config.pad_token_id,
            reduction="sum",
        )
        entropy = -0.5 * (1 + log_variance)
        entropy = (entropy * (entropy.detach() > config.entropy_threshold)).sum(-1).mean()
        return nll / len(input_ids) + config.kl_weight * entropy + self.prior_terms(latents, class_labels)

    def sample_latents(self, num_samples: int) -> torch.Tensor:
        """Latents from the prior by reverse diffusion, `(num_samples, d)`."""
        z = draw(torch.randn, (num_samples, self.config.latent_size), self.tables.step_std)
        for t in reversed(range(self.config.num_levels)):
            level = torch.full((num_samples,), t, dtype=torch.long, device=z.device)
            z = self.chain(z, level) / self.tables.latent_scale[t]
        return z

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Greedy decoding, always 40 tokens, `(n, 40)`."""
        token = torch.full((len(latents), 1), self.config.decoder_start_token_id, device=latents.device)
        state, tokens = None, []
        for _ in range(LENGTH):
            hidden, state = self.decoder(token, latents, state)
            token = self.decoder.logits(hidden).log_softmax(-1).argmax(-1)
            tokens.append(token)
        return torch.cat(tokens, 1)
