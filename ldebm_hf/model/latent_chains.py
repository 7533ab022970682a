r"""Samples of the posterior p(z|x) ∝ p(z) p(x|z) by Markov chains, beyond the encoder's approximation.

The Gaussian part of z moves by Metropolis-corrected Langevin steps, scaled by the encoder's posterior widths. The
prior provides the density that stands for log p(z), or log p(z, y) for a requested symbol
(`Prior.log_density_for_chains`): for Gaussian priors and mixtures this is the density itself. Codes are drawn variable
by variable from their exact conditionals (Gibbs sampling).

The diffusion prior's marginal p(z_0) is intractable, because each level's normaliser Z_t(z_{t+1}) is. Given z_1,
however, log p(z_0|z_1) is known up to a constant, F(z̃_0, 0)/τ_0 minus quadratics, and so is, with p(x|z_0) and
γ log p(y|z̃_0), the conditional of z_0 given z_1, the text and the symbol. The chain therefore alternates (Gibbs
sampling of z_0 and z_1)

    z_1 ~ q(z_1|z_0) = N(a_1 z_0, σ_1² I),     then steps on    log p(z_0|z_1) + log p(x|z_0) + γ log p(y|z̃_0).

Higher levels need not be visited: given z_0, z_1 is independent of x; given z_1, z_0 is independent of z_2; and so on.
Under the joint p(z_0) q(z_1|z_0), both steps leave p(z_0) p(x|z_0) p(y|z̃_0)^γ invariant if p(z_0|z_1) is the reversal
of the forward step for the marginal p(z_0). For a constant energy on the Gaussian base measure it is; for a trained
energy it is what training aims at (maximum likelihood of each level's conditional), so that the chain is as exact as
the prior. The alternative, the model's own conditional of z_1 given z_0 and z_2, needs ∇ log Z_0(z_1), which takes
further chains.
"""

import torch
from torch.nn import functional as F

from .codes import one_hot_codes
from .configuration_ldebm import LDEBMConfig
from .langevin import langevin
from .noise import gumbel_like
from .posteriors import Posterior
from .prior import LogDensity, Prior
from .tilted_chains import BEST_ACCEPTANCE


class LatentChains:
    """
    Chains of latents, one for each text, which [`move`] takes towards p(z|x).

    Args:
        prior ([`Prior`]): The model's prior.
        config ([`LDEBMConfig`]): The model's settings.
        posterior ([`Posterior`]): q(z|x), at a draw of which the chains start.
        class_labels (`torch.LongTensor` of shape `(num_chains,)`, *optional*): Symbols to steer to.
        guidance_scale (`float`, *optional*): γ of the diffusion prior; defaults to `config.label_guidance`.
        generator (`torch.Generator`, *optional*): Source of the noise.
    """

    def __init__(
        self,
        prior: Prior,
        config: LDEBMConfig,
        posterior: Posterior,
        *,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
    ):
        self.prior, self.config, self.generator = prior, config, generator
        self.class_labels, self.guidance_scale = class_labels, guidance_scale
        self.restart(posterior)

    def restart(self, posterior: Posterior) -> None:
        """
        Set the chains to a draw of `posterior`, by whose standard deviations their steps are scaled. The codes of
        given symbols are kept.
        """
        latents, size = posterior.sample(self.generator, relaxed=False), self.config.gaussian_size
        if self.config.prior_class.decodes_codes and self.class_labels is not None:
            codes = one_hot_codes(self.class_labels, self.config.num_code_variables, self.config.code_categories)
            latents = torch.cat([latents[:, :size], codes.flatten(1).to(latents.dtype)], -1)
        self.latents = latents
        self.widths = (0.5 * posterior.log_variance).exp()
        self.step_scale = torch.full_like(latents[:, :1], max(size, 1) ** (-1 / 3))

    def move(self, log_likelihood: LogDensity, num_steps: int) -> None:
        """
        One round: draw the codes, then take `num_steps` Langevin steps of the Gaussian part. The step size of the next
        round is adapted to the acceptance rate.

        Args:
            log_likelihood (`Callable`): log p(x|z) of latents `(num_chains, total_latent_size)`, `(num_chains,)`;
                differentiable.
            num_steps (`int`): Number of steps; 0 leaves the latents as they are.
        """
        if num_steps == 0:
            return
        if self.config.prior_class.decodes_codes and self.class_labels is None:
            self._draw_codes(log_likelihood)
        size = self.config.gaussian_size
        if not size:
            return
        code = self.latents[:, size:]
        log_prior = self.prior.log_density_for_chains(
            self.latents, self.class_labels, self.guidance_scale, self.generator
        )

        def log_density_and_score(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.enable_grad():
                state = state.detach().requires_grad_()
                latents = torch.cat([state, code], -1)
                value = log_prior(latents) + log_likelihood(latents)
                (score,) = torch.autograd.grad(value.sum(), state)
            return value.detach(), score

        step_variance = (self.step_scale * self.widths.square()).expand(num_steps, -1, -1)
        moved = langevin(
            lambda state: log_density_and_score(state)[1],
            self.latents[:, :size],
            step_variance,
            log_density_and_score=log_density_and_score,
            generator=self.generator,
        )
        self.latents = torch.cat([moved.samples, code], -1)
        self.step_scale = self.step_scale * (2 * (moved.acceptance_rate[:, None] - BEST_ACCEPTANCE)).exp()

    @torch.no_grad()
    def _draw_codes(self, log_likelihood: LogDensity) -> None:
        """Draw each code variable from its exact conditional; the prior of codes is uniform."""
        size, categories = self.config.gaussian_size, self.config.code_categories
        latents = self.latents.clone()
        codes = latents[:, size:].unflatten(-1, (self.config.num_code_variables, categories))  # a view
        for variable in range(self.config.num_code_variables):
            log_likelihoods = []
            for category in range(categories):
                codes[:, variable] = F.one_hot(torch.tensor(category, device=codes.device), categories).to(codes.dtype)
                log_likelihoods.append(log_likelihood(latents))
            logits = torch.stack(log_likelihoods, -1)
            drawn = (logits + gumbel_like(logits, self.generator)).argmax(-1)
            codes[:, variable] = F.one_hot(drawn, categories).to(codes.dtype)
        self.latents = latents
