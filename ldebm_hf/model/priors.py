"""The registry of priors, by the name that `LDEBMConfig.prior` takes."""

from .adversarial_prior import AdversarialPrior
from .code_priors import CodePrior, SemiPrior
from .diffusion_prior import DiffusionPrior
from .gaussian_priors import GaussianPrior, MixturePrior, NoLatentPrior
from .prior import Prior

PRIORS: dict[str, type[Prior]] = {
    "diffusion": DiffusionPrior,
    "gaussian": GaussianPrior,
    "mixture": MixturePrior,
    "discrete": CodePrior,
    "semi": SemiPrior,
    "adversarial": AdversarialPrior,
    "none": NoLatentPrior,
}
