"""How the weight of the KL terms changes over a run."""

from .settings import TrainingSettings


def kl_scale(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """What an optimiser step's `kl_weight` is multiplied by; nothing but the step decides it.

    With the cyclical schedule (Fu et al., NAACL 2019) the run is cut into `kl_cycles` equal parts; in each the factor
    is 0 for the share `kl_zero_fraction`, grows linearly to 1 over the share `kl_ramp_fraction`, and stays there. With
    one cycle that is the usual warm-up.

    Args:
        step (`int`): how many steps are done before this one, from 0 to `total_steps - 1`.
    """
    if settings.kl_schedule == "constant":
        return 1.0
    done = step * settings.kl_cycles % total_steps / total_steps  # of the running cycle; whole numbers until here
    grown = done - settings.kl_zero_fraction
    if settings.kl_ramp_fraction == 0:
        return float(grown >= 0)
    return min(max(grown / settings.kl_ramp_fraction, 0.0), 1.0)
