"""
Fit of the generator of [`AdversarialPrior`] to latents with classes, against a critic.

A Wasserstein GAN with a gradient penalty (Gulrajani et al., NeurIPS 2017), where both networks read the class. The
critic D rises to E[D(z, y)] - E[D(G(ε, y), y)] minus the penalty, and the generator to E[D(G(ε, y), y)].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers.utils import logging

from .adversarial_prior import ConditionalNetwork, LatentGenerator
from .arguments import LATENTS, MOST_SAMPLES, MOST_STEPS, Seed, checked
from .noise import draw, gaussian_like
from .setting_rules import LARGEST_WEIGHT, MOST_UNITS
from .validation import Count, Flag, Number

SMALLEST_STD = 1e-6
"""Smallest standard deviation by which latents are divided, for dimensions that do not vary."""
BETAS = (0.0, 0.9)
"""Decay rates of Adam's moments (Gulrajani et al., Algorithm 1)."""


@dataclass(frozen=True)
class AdversarialFitOutput:
    """
    Args:
        critic_difference (`torch.Tensor` of shape `(num_steps,)`): E[D(z, y)] - E[D(G(ε, y), y)] of the last batch
            that the critic learned from before each step of the generator: an estimate of the Wasserstein distance of
            the standardised latents, which falls towards 0.
        gradient_penalty (`torch.Tensor` of shape `(num_steps,)`): The penalty without its weight, of the same batches.
    """

    critic_difference: torch.Tensor
    gradient_penalty: torch.Tensor


@checked(
    latents=LATENTS,
    num_steps=Count(at_most=MOST_SAMPLES),
    num_critic_steps=Count(at_most=MOST_STEPS),
    batch_size=Count(at_most=MOST_SAMPLES),
    learning_rate=Number(above=0, at_most=1),
    penalty_weight=Number(at_least=0, at_most=LARGEST_WEIGHT),
    hidden_size=Count(at_most=MOST_UNITS),
    generator=Seed(),
    show_progress=Flag(),
)
def fit_adversarial_prior(
    model,
    latents: torch.Tensor,
    class_labels: Sequence[int | str] | torch.Tensor,
    *,
    num_steps: int = 5000,
    num_critic_steps: int = 5,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    penalty_weight: float = 1.0,
    hidden_size: int = 256,
    generator: torch.Generator | int | None = None,
    show_progress: bool = False,
) -> AdversarialFitOutput:
    """
    Fit a generator of latents to those of texts with classes, in place: [`sample_latents`] and `generate` use it from
    then on, and `save_pretrained` stores it. The rest of the model does not change. An earlier generator is replaced;
    a model that is trained further needs a new one. Training with the preset `cgan` calls this at its end.

    ```python
    >>> posterior = model.posterior(**tokenizer(texts, padding=True, return_tensors="pt"))
    >>> model.fit_adversarial_prior(posterior.sample(0), labels, generator=0)
    >>> ids = model.generate(class_labels="positive", num_samples=5)
    ```

    Args:
        latents (`torch.Tensor` of shape `(n, latent_size)`): Latents, such as a draw of each text's posterior.
        class_labels (a sequence of `int` or `str`, or `torch.LongTensor` of shape `(n,)`): Their classes, by id or
            name as in [`symbol_ids`]; latents with -100, whose class is unknown, are left out.
        num_steps (`int`, *optional*, defaults to 5000): Steps of the generator.
        num_critic_steps (`int`, *optional*, defaults to 5): Steps of the critic before each of them.
        batch_size (`int`, *optional*, defaults to 128): Latents in a step.
        learning_rate (`float`, *optional*, defaults to 0.001): First learning rate of Adam for both networks, which
            falls to 0 along a half cosine.
        penalty_weight (`float`, *optional*, defaults to 1): Weight of the gradient penalty (published: 10 for images,
            0.1 for points of the plane).
        hidden_size (`int`, *optional*, defaults to 256): Width of both networks.
        generator (`torch.Generator` or `int`, *optional*): Source of all noise; an integer is a seed.
        show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.

    Returns:
        [`AdversarialFitOutput`]: What the critic measured at every step.

    Raises:
        ValueError: If the model has another prior, a class is unknown, no latent has a class, or there are not as many
            classes as latents.
    """
    config, prior = model.config, model.prior
    if not prior.is_fitted_after_training:
        raise ValueError(f'fit_adversarial_prior is for models with prior="adversarial", got prior={config.prior!r}')
    classes = model.symbol_ids(class_labels, allow_unknown=True)
    if len(classes) != len(latents):
        raise ValueError(f"class_labels must be one for each of {len(latents)} latents, got {len(classes)}")
    is_known = classes >= 0
    if not is_known.any():
        raise ValueError("class_labels must have the class of at least one latent, got -100 (unknown) for all")
    latents, classes = latents.detach().to(prior.location)[is_known], classes[is_known]  # both on one device

    settings = {"hidden_size": hidden_size}
    fitted = LatentGenerator(config.latent_size, config.num_labels, settings).to(prior.location)
    fitted.mean.copy_(latents.mean(0))
    fitted.std.copy_(latents.std(0, correction=0).clamp(min=SMALLEST_STD))
    fitted.class_shares.copy_(classes.bincount(minlength=config.num_labels) / len(classes))
    critic = ConditionalNetwork(config.latent_size, config.num_labels, hidden_size, 1).to(prior.location)
    fit = _Fit(fitted, critic, (latents - fitted.mean) / fitted.std, classes, batch_size, penalty_weight, generator)
    options = {"desc": "fitting the generator", "disable": not show_progress}
    with torch.enable_grad(), logging.tqdm(total=num_steps, **options) as bar:
        output = fit.run(num_steps, num_critic_steps, learning_rate, bar)
    fitted.requires_grad_(False)
    prior.latent_generator, config.latent_generator = fitted.train(prior.training), settings
    return output


def gradient_penalty(critic: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor) -> torch.Tensor:
    """
    Mean of (‖∇D(z)‖ - 1)² (Gulrajani et al., Eq. 3), differentiable with respect to the critic.

    Args:
        critic (`Callable`): D, from points `(batch_size, size)` to values `(batch_size, 1)` or `(batch_size,)`.
        points (`torch.Tensor` of shape `(batch_size, size)`): z, between real and generated points.
    """
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (gradient.norm(dim=-1) - 1).square().mean()


class _Fit:
    """
    Generator and critic in turns.

    Args:
        fitted ([`LatentGenerator`]), critic ([`ConditionalNetwork`]): The networks, whose weights are drawn anew.
        latents (`torch.Tensor` of shape `(n, latent_size)`), classes (`torch.LongTensor` of shape `(n,)`): What to fit
            to, standardised.
        batch_size (`int`), penalty_weight (`float`), generator (`torch.Generator`, *optional*): As in
            [`fit_adversarial_prior`].
    """

    def __init__(
        self,
        fitted: LatentGenerator,
        critic: ConditionalNetwork,
        latents: torch.Tensor,
        classes: torch.Tensor,
        batch_size: int,
        penalty_weight: float,
        generator: torch.Generator | None,
    ):
        self.fitted, self.critic, self.latents, self.classes = fitted, critic, latents, classes
        self.batch_size, self.penalty_weight, self.generator = batch_size, penalty_weight, generator
        with torch.no_grad():
            fitted.network.draw_weights(generator)
            critic.draw_weights(generator)
            fitted.network.output.weight.zero_()  # the first latents are Gaussian, with the moments of the real ones
        fitted.network.requires_grad_(True)

    def run(self, num_steps: int, num_critic_steps: int, learning_rate: float, bar) -> AdversarialFitOutput:
        """Take all steps. Arguments as in [`fit_adversarial_prior`], and a progress bar."""
        networks = self.fitted.network, self.critic
        optimizers = [torch.optim.Adam(network.parameters(), lr=learning_rate, betas=BETAS) for network in networks]
        schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps) for optimizer in optimizers]
        of_generator, of_critic = optimizers
        differences, penalties = [], []
        for _ in range(num_steps):
            self.critic.requires_grad_(True)
            for _ in range(num_critic_steps):
                difference, penalty = self.judge()
                _descend(of_critic, self.penalty_weight * penalty - difference)
            self.critic.requires_grad_(False)
            generated, classes = self.generate(self.draw_rows())
            _descend(of_generator, -self.critic(generated, classes).mean())
            for schedule in schedules:
                schedule.step()
            differences.append(difference.detach())
            penalties.append(penalty.detach())
            bar.update(1)
        return AdversarialFitOutput(torch.stack(differences).cpu(), torch.stack(penalties).cpu())

    def draw_rows(self) -> torch.Tensor:
        """Indices of random latents, `(batch_size,)`."""
        number = len(self.latents)
        uniform = draw(torch.rand, (self.batch_size,), self.latents, self.generator)
        return (uniform * number).long().clamp(max=number - 1)

    def generate(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One generated latent of the class of each of some rows, and these classes."""
        classes = self.classes[rows]
        return self.fitted.standardized(gaussian_like(self.latents[rows], self.generator), classes), classes

    def judge(self) -> tuple[torch.Tensor, torch.Tensor]:
        """E[D(z, y)] - E[D(G(ε, y), y)] of a batch, and the penalty between its real and generated latents."""
        rows = self.draw_rows()
        with torch.no_grad():
            generated, classes = self.generate(rows)
        real = self.latents[rows]
        difference = self.critic(real, classes).mean() - self.critic(generated, classes).mean()
        between = draw(torch.rand, (len(rows), 1), real, self.generator)
        points = between * real + (1 - between) * generated
        return difference, gradient_penalty(lambda points: self.critic(points, classes), points)


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One step down a loss."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
