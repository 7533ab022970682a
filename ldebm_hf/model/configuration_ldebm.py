"""Every setting of the model, with its default, unit and source.

Sources: "§" numbers and "Eq." refer to the paper (Yu et al., "Latent Diffusion Energy-Based Model for Interpretable
Text Modeling", ICML 2022); "published system" is what the authors' experiments ran, which differs from the printed
equations in several places. Each such place is a setting here, and [`PRESETS`] holds the named combinations.
"""

import math
from dataclasses import fields
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .presets import PRESETS


@strict
class LDEBMConfig(PreTrainedConfig):
    r"""
    Configuration of [`LDEBMModel`].

    The defaults are the `"consistent"` preset with the architecture of the paper's language-generation experiment
    (PTB). Use [`LDEBMConfig.from_preset`] to start from the published system's settings instead. Symbols are
    transformers' labels: give their number as `num_labels` or `num_symbols` (default 20), or their names as `id2label`
    or `label2id`; the rest follows.

    Args:
        modality (`str`, *optional*, defaults to `"text"`): What the model is of: `"text"`, `"document"` (texts as bags
            of words: their order is neither read nor written) or `"point"`, vectors of `point_size` real numbers.
        prior (`str`, *optional*, defaults to `"diffusion"`): The latent's prior: `"diffusion"` (energy-based; with
            `num_levels=1` the single-level model of SVEBM), `"gaussian"` (VAE), `"mixture"` (of Gaussians: GM-VAE,
            DGM-VAE), `"discrete"` (categorical codes: DI-VAE), `"semi"` (a Gaussian and a code: SEMI-VAE) or `"none"`
            (no latent: a recurrent language model). `"gaussian"` and `"none"` have no symbols.

        vocab_size (`int`, *optional*, defaults to 10004): Number of token types, special tokens included.
        embedding_size (`int`, *optional*, defaults to 512): Width of the token embeddings of encoder and decoder.
        encoder_hidden_size (`int`, *optional*, defaults to 512): Width of the encoder's GRU, per direction.
        decoder_hidden_size (`int`, *optional*, defaults to 512): Width of the decoder's GRU. Must equal
            `embedding_size`, because the output projection is the decoder's embedding.
        latent_size (`int`, *optional*, defaults to 40): Size d of the latent vector,
            for `"semi"` of its Gaussian part.
        dropout (`float`, *optional*, defaults to 0.3): Dropout on the decoder's input embeddings and outputs.
        word_dropout (`float`, *optional*, defaults to 0.0): Share of the words that the encoder reads as
            `unk_token_id` in training (denoising autoencoders: 0.3), or, of a document, does not read.
        encoder_head_activation (`bool`, *optional*, defaults to `True`): LeakyReLU(0.01) before the linear maps to the
            posterior's mean and log variance.
        normalize_posterior (`bool`, *optional*, defaults to `True` for the diffusion prior, else `False`): Give the
            posterior means zero mean and unit variance in every dimension over a batch, in evaluation over past
            batches (Zhu et al., ACL 2020). It fixes the latent's scale, which otherwise grows while an energy is
            blunter than the latents' distribution.
        uniform_init_range (`float`, *optional*): Draw every parameter from U(-r, r), as the published
            text experiments do; `None` keeps torch's own initialisation, but for the vectors of words, which are drawn
            from N(0, 4/d), d being their length: torch's unit normal ones cost a text model its first epochs.

        context_size (`int`, *optional*, defaults to 0): Size of the vector that stands for the context, the turns of
            a dialogue before a text, on which posterior, prior and decoder of a text model then depend (published:
            512). 0: texts have no context.
        context_hidden_size (`int`, *optional*, defaults to 256): Width of the GRU that reads a turn, per direction.
        context_turns (`int`, *optional*, defaults to 5): So many turns of a context are read, the last ones.
        speaker_markers (`str`, *optional*, defaults to `"none"`): What `<usr>` or `<sys>` stands before, to say who
            speaks: the turns of a `"context"`, `"all"` turns, the response included (published for SMD), or `"none"`.

        document_hidden_size (`int`, *optional*, defaults to 2000): Width of the documents' encoder and decoder, the
            latter's last map being one of so many numbers to the vocabulary.
        document_encoder_layers (`int`, *optional*, defaults to 2): Linear maps of that encoder before the posterior's
            own, each followed by ReLU and dropout. The first one is of the words' counts.
        document_decoder_layers (`int`, *optional*, defaults to 4): Linear maps of that decoder, LeakyReLU(0.2) between
            them.
        document_dropout (`float`, *optional*, defaults to 0.5): Dropout in that encoder.
        document_batch_norm (`bool`, *optional*, defaults to `True`): Batch normalisation of the decoder's logits, with
            a learned bias and no learned scale.
        document_batch_norm_momentum (`float`, *optional*, defaults to 0.001): How much a batch counts in the means and
            variances that evaluation uses.

        point_size (`int`, *optional*, defaults to 2): Numbers per point.
        point_center (`list[float]`, *optional*): What is taken off every point inside the model; default the origin.
        point_scale (`float`, *optional*, defaults to 1.0): What points are then divided by.
        point_hidden_size (`int`, *optional*, defaults to 200): Width of the points' encoder and decoder.
        point_encoder_layers (`int`, *optional*, defaults to 2): Linear maps of that encoder before the
            posterior's own.
        point_decoder_layers (`int`, *optional*, defaults to 2): Linear maps of that decoder.
        point_std (`float`, *optional*, defaults to 1.0): Standard deviation of p(x|z) = N(g(z), std² I), in units of
            `point_scale` (published: 1, as the squared error averaged over two coordinates is then -log p(x|z)).
        point_noise (`float`, *optional*, defaults to 0.0): Standard deviation, in those units, of the noise on the
            points that the encoder reads in training.

        num_code_variables (`int`, *optional*, defaults to 1): Number M of categorical variables of a `"mixture"`,
            `"discrete"` or `"semi"` prior; a mixture has one in each of M equal slices of the latent.
        num_code_categories (`int`, *optional*): Categories C of each; default the M-th root of the number of symbols,
            a symbol being a joint code. With another number the codes are too many to be symbols.
        gumbel_temperature (`float`, *optional*, defaults to 1.0): Temperature of the relaxed codes in training.
        dispersion_weight (`float`, *optional*, defaults to 0.0): β of DGM-VAE: 0 is the mixture's evidence lower
            bound, 1 the divergence from the component of averaged natural parameters.

        energy_network (`str`, *optional*, defaults to `"residual"`): `"residual"` with level embedding, or `"mlp"`, a
            plain GELU network, for `num_levels=1` (SVEBM).
        energy_hidden_size (`int`, *optional*, defaults to 200): Width of the energy network.
        energy_num_blocks (`int`, *optional*, defaults to 12): Residual blocks, or hidden layers of the `"mlp"`.
        energy_spectral_norm (`bool`, *optional*, defaults to `True`): Spectral normalisation of all its linear maps.
        energy_temperature (`str`, *optional*, defaults to `"unit"`): τ_t, by which the energy is divided in the
            log-density of level t: `"unit"` (τ = 1) or `"step"` (τ_t = s_t², the squared Langevin step: published).
        base_measure (`str`, *optional*, defaults to `"gaussian"`): What the energy tilts: `"flat"` (Eq. 5,
            published), where an energy of zero gives a prior of variance 24.7, or `"gaussian"` (each level's variable
            has its marginal under z ~ N(0, I) as a factor), where it gives a standard normal prior.
        symbol_levels (`str`, *optional*, defaults to `"all"`): The levels whose energy learns the symbols and is
            steered by them: the `"first"`, level 0, alone (published) or `"all"`.

        num_levels (`int`, *optional*, defaults to 6): Number T of noise levels. With 1 the prior is exp F tilting
            N(0, I), and the schedule does not matter.
        noise_schedule (`str`, *optional*, defaults to `"published"`): `"published"` (σ² from a product of 1000 small
            steps with linearly growing β) or `"linear_variance"` (σ²_{t+1} linear in t, the paper's text, §2.2).
        noise_range (`list[float]`, *optional*): First and last β (`"published"`, default `[1e-4, 0.02]`) or first and
            last σ² (`"linear_variance"`, default `[0.1, 0.9995]`).
        base_level_noise (`bool`, *optional*, defaults to `False`): The first β makes a step of its own before level 0,
            so that "z_0" is z plus noise of standard deviation 0.01 (published); else it is part of level 0's step.
        scale_last_level (`bool`, *optional*, defaults to `False`): Whether the last level's variable is
            z̃ = a z like every other level's, or z itself (published).

        level_sampling (`str`, *optional*, defaults to `"published"`): Levels trained per example and step:
            `"published"` (one of 0..T-2 at random, and always T-1), `"uniform"` (one of 0..T-1, Algorithm 1) or
            `"all"`.
        level_weighting (`str`, *optional*, defaults to `"likelihood"`): λ_t of the prior loss: `"published"`
            (σ_1/σ_{t+1}) or `"likelihood"` (the weights of the log-likelihood, 1/τ_t, whatever the level sampling).
        log_normalizer_gradient (`bool`, *optional*, defaults to `True`): Keep ∇ log Z_t(z_{t+1}) in the encoder's
            gradient.
        terminal_prior (`bool`, *optional*, defaults to `True`): Keep log p(z_T) in the encoder's gradient.

        langevin_steps (`int`, *optional*, defaults to 10): Langevin steps K per level.
        langevin_step_rule (`str`, *optional*, defaults to `"relative"`): c_t² in s_t² = b² c_t² σ²_{t+1}:
            `"published"` (σ̄_t/σ̄_0; needs `base_level_noise`) or `"paper"` (Π_{1≤i≤t+1} σ_i / σ_1, Eq. 12); or
            `"relative"`: s_t² is b² times the variance that level t's density has for a constant energy.
        langevin_step_size (`float`, *optional*, defaults to 0.9): b², squared step size in the rule's units
            (published: 2e-3, with a c_t² of 1 to 96).
        langevin_step_decay (`float`, *optional*, defaults to 0.1): s² of a chain's last step as a share of the
            first's, linear in between: large steps come near, small ones undo their bias. 1: all equal (published).
        langevin_integrator (`str`, *optional*, defaults to `"exponential"`): `"euler"`, z + ½ s² ∇ log p + s ε
            (Eq. 12, published), whose bias grows with the step, or `"exponential"`, which follows the Gaussian part
            of the density exactly, with any s² of at most its variance (b² of at most 1 with `"relative"` steps).
        langevin_start (`str`, *optional*, defaults to `"gaussian"`): Where the chain of a level starts: at
            `"previous"` (z_{t+1} itself: published) or `"gaussian"` (a draw from the level's density for a constant
            energy).
        langevin_final_noise (`bool`, *optional*, defaults to `True`): Whether the last step of a chain adds noise.
        langevin_metropolis (`bool`, *optional*, defaults to `False`): Metropolis correction of every step (MALA).
        label_guidance (`float`, *optional*, defaults to 4.0): Default `guidance_scale` γ of conditional sampling, the
            weight of log p(y|z). 1 is the model's own joint density; `None` means 1/τ_t, with which the energy of
            class y is f_y/τ_t (published).

        kl_weight (`float`, *optional*, defaults to 0.2): w_kl, weight of prior loss and posterior entropy.
        mutual_information_weight (`float`, *optional*, defaults to 0.05): w_mi, weight of I(z; y), Eq. 9; for priors
            with codes that of I(x; c), summed over the code's variables.
        classification_weight (`float`, *optional*, defaults to 2.0): w_cls, weight of the symbols' cross-entropy.
        entropy_threshold (`float`, *optional*): The posterior's negative entropy counts only in dimensions where
            -½(1 + log σ²) exceeds this (published: 1.0); `None` counts all.
    """

    model_type = "ldebm"
    attribute_map: ClassVar[dict[str, str]] = {"num_symbols": "num_labels"}
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    modality: Literal["text", "document", "point"] = "text"
    prior: Literal["diffusion", "gaussian", "mixture", "discrete", "semi", "none"] = "diffusion"

    vocab_size: int = 10004
    embedding_size: int = 512
    encoder_hidden_size: int = 512
    decoder_hidden_size: int = 512
    latent_size: int = 40
    dropout: float | int = 0.3
    word_dropout: float | int = 0.0
    encoder_head_activation: bool = True
    normalize_posterior: bool | None = None
    uniform_init_range: float | int | None = None

    context_size: int = 0
    context_hidden_size: int = 256
    context_turns: int = 5
    speaker_markers: Literal["none", "context", "all"] = "none"

    document_hidden_size: int = 2000
    document_encoder_layers: int = 2
    document_decoder_layers: int = 4
    document_dropout: float | int = 0.5
    document_batch_norm: bool = True
    document_batch_norm_momentum: float | int = 0.001

    point_size: int = 2
    point_center: list[float] | None = None
    point_scale: float | int = 1.0
    point_hidden_size: int = 200
    point_encoder_layers: int = 2
    point_decoder_layers: int = 2
    point_std: float | int = 1.0
    point_noise: float | int = 0.0

    num_code_variables: int = 1
    num_code_categories: int | None = None
    gumbel_temperature: float | int = 1.0
    dispersion_weight: float | int = 0.0

    energy_network: Literal["residual", "mlp"] = "residual"
    energy_hidden_size: int = 200
    energy_num_blocks: int = 12
    energy_spectral_norm: bool = True
    energy_temperature: Literal["unit", "step"] = "unit"
    base_measure: Literal["flat", "gaussian"] = "gaussian"
    symbol_levels: Literal["first", "all"] = "all"

    num_levels: int = 6
    noise_schedule: Literal["published", "linear_variance"] = "published"
    noise_range: list[float] | None = None
    base_level_noise: bool = False
    scale_last_level: bool = False

    level_sampling: Literal["published", "uniform", "all"] = "published"
    level_weighting: Literal["published", "likelihood"] = "likelihood"
    log_normalizer_gradient: bool = True
    terminal_prior: bool = True

    langevin_steps: int = 10
    langevin_step_rule: Literal["published", "paper", "relative"] = "relative"
    langevin_step_size: float | int = 0.9
    langevin_step_decay: float | int = 0.1
    langevin_integrator: Literal["euler", "exponential"] = "exponential"
    langevin_start: Literal["previous", "gaussian"] = "gaussian"
    langevin_final_noise: bool = True
    langevin_metropolis: bool = False
    label_guidance: float | int | None = 4.0

    kl_weight: float | int = 0.2
    mutual_information_weight: float | int = 0.05
    classification_weight: float | int = 2.0
    entropy_threshold: float | int | None = None

    is_encoder_decoder: bool = True
    pad_token_id: int = 0
    unk_token_id: int = 1
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 3
    decoder_start_token_id: int = 2

    def __post_init__(self, **kwargs):
        counts = {name: kwargs.pop(name, None) for name in ("num_labels", "num_symbols")}
        counts = {name: count for name, count in counts.items() if count is not None}
        for name, count in counts.items():
            _require(type(count) is int and count >= 1, name, count, "an int of at least 1")
        if self.normalize_posterior is None:
            self.normalize_posterior = self.prior == "diffusion"
        if self.id2label is None and self.label2id is not None:
            self.id2label = {symbol: name for name, symbol in self.label2id.items()}
        if self.id2label is None:
            kwargs["num_labels"] = next(iter(counts.values()), 20)
        super().__post_init__(**kwargs)
        for name, count in counts.items():
            _require(count == self.num_labels, name, count, f"{self.num_labels}, the number of symbols named")
        if self.label2id is None:
            self.label2id = self._inverse_names()

    @classmethod
    def from_preset(cls, preset: str, **settings) -> "LDEBMConfig":
        """A configuration from one of [`PRESETS`], by name, with `settings` on top."""
        _require(preset in PRESETS, "preset", preset, f"one of {sorted(PRESETS)}")
        known = {field.name for field in fields(cls)} | {"num_labels", "num_symbols"}
        for name in settings:
            _require(name in known, "settings", name, "fields of LDEBMConfig")
        return cls(**{**PRESETS[preset], **settings})

    def to_diff_dict(self) -> dict[str, Any]:
        """As in transformers, but the symbols are always in it: transformers' own default is two of them."""
        names = self.to_dict()
        return super().to_diff_dict() | {name: names[name] for name in ("id2label", "label2id")}

    @property
    def has_codes(self) -> bool:
        """Whether q(·|x) has categorical variables."""
        return self.prior in ("mixture", "discrete", "semi")

    @property
    def code_categories(self) -> int:
        """C, categories per code variable."""
        if self.num_code_categories is not None:
            return self.num_code_categories
        return round(self.num_labels ** (1 / self.num_code_variables))

    @property
    def has_symbols(self) -> bool:
        """Whether texts have symbols under this prior: a code must not have more values than there are names."""
        joint_codes = self.code_categories**self.num_code_variables
        return self.prior == "diffusion" or (self.has_codes and joint_codes == self.num_labels)

    @property
    def gaussian_size(self) -> int:
        """Size of the latent's Gaussian part."""
        return 0 if self.prior in ("discrete", "none") else self.latent_size

    @property
    def total_latent_size(self) -> int:
        """Size of a latent vector as the decoder reads it: its Gaussian part, its code as one-hot vectors, or both."""
        code_size = self.num_code_variables * self.code_categories if self.prior in ("discrete", "semi") else 0
        return self.gaussian_size + code_size

    def _inverse_names(self) -> dict[str, int]:
        return {name: symbol for symbol, name in self.id2label.items()}

    def validate_sizes(self):
        for name in ("vocab_size", "embedding_size", "encoder_hidden_size", "decoder_hidden_size", "latent_size",
                     "energy_hidden_size", "langevin_steps", "num_levels", "document_hidden_size",
                     "document_encoder_layers", "document_decoder_layers", "point_size", "point_hidden_size",
                     "point_encoder_layers", "point_decoder_layers", "num_code_variables", "context_hidden_size",
                     "context_turns"):  # fmt: skip
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require(self.context_size >= 0, "context_size", self.context_size, "at least 0")
        if self.context_size:
            _require(self.modality == "text", "context_size", self.context_size, f"0 for a model of {self.modality}s")
        _require(self.energy_num_blocks >= 0, "energy_num_blocks", self.energy_num_blocks, "at least 0")
        _require(self.decoder_hidden_size == self.embedding_size, "decoder_hidden_size", self.decoder_hidden_size,
                 f"equal to embedding_size={self.embedding_size}, to which the output is tied")  # fmt: skip

    def validate_symbols(self):
        complete = bool(self.id2label) and sorted(self.id2label) == list(range(self.num_labels))
        _require(complete, "id2label", self.id2label, "one name for each of the ids 0, 1, ...")
        inverse = self._inverse_names()
        _require(len(inverse) == self.num_labels, "id2label", self.id2label, "without repeated names")
        _require(self.label2id == inverse, "label2id", self.label2id, f"the inverse of id2label, {inverse}")

    def validate_token_ids(self):
        for name in ("pad_token_id", "unk_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            value = getattr(self, name)
            ids = value if isinstance(value, list) else [] if value is None else [value]
            in_vocabulary = all(0 <= token < self.vocab_size for token in ids)
            _require(in_vocabulary, name, value, f"in 0..{self.vocab_size - 1}, as vocab_size={self.vocab_size}")

    def validate_ranges(self):
        for name, value in vars(self).items():
            if isinstance(value, float):
                _require(math.isfinite(value), name, value, "finite")
        for name in ("dropout", "word_dropout", "document_dropout"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        for name in ("langevin_step_size", "point_scale", "point_std", "gumbel_temperature"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "positive")
        momentum = self.document_batch_norm_momentum
        _require(0 < momentum <= 1, "document_batch_norm_momentum", momentum, "in (0, 1]")
        _require(0 < self.langevin_step_decay <= 1, "langevin_step_decay", self.langevin_step_decay, "in (0, 1]")
        _require(0 <= self.dispersion_weight <= 1, "dispersion_weight", self.dispersion_weight, "in [0, 1]")
        for name in ("kl_weight", "mutual_information_weight", "classification_weight", "point_noise"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        if self.uniform_init_range is not None:
            _require(self.uniform_init_range > 0, "uniform_init_range", self.uniform_init_range, "positive or None")
        if self.noise_range is not None:
            increasing = len(self.noise_range) == 2 and 0 < self.noise_range[0] <= self.noise_range[1] < 1
            _require(increasing, "noise_range", self.noise_range, "two increasing numbers between 0 and 1")

    def validate_prior(self):
        if self.normalize_posterior:
            allowed = f"False for prior={self.prior!r}, which has no Gaussian part"
            _require(self.gaussian_size > 0, "normalize_posterior", True, allowed)
        if self.prior == "none":
            _require(self.modality == "text", "modality", self.modality, '"text" for prior="none", a language model')
        if self.has_codes:
            num_variables, categories = self.num_code_variables, self.num_code_categories
            _require(categories is None or categories >= 2, "num_code_categories", categories, "at least 2, or None")
            if categories is None:
                is_power = self.code_categories**num_variables == self.num_labels and self.num_labels >= 2
                allowed = f"C**{num_variables}, with num_code_variables={num_variables} of C categories each"
                _require(is_power, "num_labels", self.num_labels, allowed if num_variables > 1 else "at least 2")
        if self.prior == "mixture":
            allowed = f"a multiple of num_code_variables={self.num_code_variables}"
            _require(self.latent_size % self.num_code_variables == 0, "latent_size", self.latent_size, allowed)
        elif self.dispersion_weight:
            _require(False, "dispersion_weight", self.dispersion_weight, 'used with prior="mixture" only')
        if self.energy_network == "mlp":
            _require(self.num_levels == 1, "energy_network", "mlp", "residual for more than one level")
            _require(not self.energy_spectral_norm, "energy_spectral_norm", True, 'False for energy_network="mlp"')
        if self.point_center is not None:
            allowed = f"point_size={self.point_size} finite numbers"
            fits = len(self.point_center) == self.point_size and all(map(math.isfinite, self.point_center))
            _require(fits, "point_center", self.point_center, allowed)

    def validate_combinations(self):
        if self.langevin_step_rule == "published":
            _require(self.base_level_noise, "langevin_step_rule", "published", "used with base_level_noise=True only")
        if self.langevin_step_rule == "relative" and self.langevin_integrator == "exponential":
            allowed = "at most 1 with relative steps of the exponential integrator"
            _require(self.langevin_step_size <= 1, "langevin_step_size", self.langevin_step_size, allowed)
        if self.noise_schedule == "linear_variance":
            _require(not self.base_level_noise, "base_level_noise", True, "False for the linear_variance schedule")
        if self.base_measure == "gaussian":
            _require(not self.scale_last_level, "scale_last_level", True, "False for the gaussian base measure")
        if self.num_levels == 1:
            _require(not self.scale_last_level, "scale_last_level", True, "False for a single level")
            rule = self.langevin_step_rule
            _require(rule != "published", "langevin_step_rule", rule, "relative or paper for a single level")


def _require(condition: bool, name: str, value, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
