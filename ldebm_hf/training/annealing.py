"""How the weight of the KL terms changes over a run."""

from .training_settings import TrainingSettings


def kl_scale(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The factor of `kl_weight` in an optimiser step, from 0 to 1.

    The cyclical schedule (Fu et al., NAACL 2019) divides the run into `kl_cycles` cycles of equal length. In each the
    factor is 0 for the fraction `kl_zero_fraction`, grows linearly to 1 during the fraction `kl_ramp_fraction`, and
    stays 1 for the rest. With one cycle this is ordinary KL annealing.

    Args:
        settings (`TrainingSettings`): the schedule.
        step (`int`): number of steps before this one, from 0 to `total_steps - 1`.
        total_steps (`int`): number of steps of the run.
    """
    if settings.kl_schedule == "constant":
        return 1.0
    position = step * settings.kl_cycles % total_steps / total_steps  # in the current cycle, from 0 to 1
    since_zero = position - settings.kl_zero_fraction
    if settings.kl_ramp_fraction == 0:
        return float(since_zero >= 0)
    return min(max(since_zero / settings.kl_ramp_fraction, 0.0), 1.0)
