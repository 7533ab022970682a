"""Every setting of the model, with its default, unit and source.

Sources: "§" numbers and "Eq." refer to the paper (Yu et al., "Latent Diffusion Energy-Based Model for Interpretable
Text Modeling", ICML 2022). "Published" means what the authors' experiments ran, which differs from the printed
equations in several places. Each such place is a setting here, and [`PRESETS`] holds the named combinations.

The configuration imports the registries of priors and modalities, because these say which settings go together. They
import the configuration for type checking only.
"""

from dataclasses import fields
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .base_model_files import BASE_MODEL_NAMES, absolute_name
from .checkpoint_code import PipelinesInCheckpoint, RegistersModels
from .modalities import MODALITIES
from .modality import Modality
from .presets import PRESETS
from .prior import Prior
from .priors import PRIORS
from .setting_rules import INHERITED_RULES, OWN_RULES, IdsByName, require_json
from .text_modality import DECODERS, ENCODERS
from .validation import Flag, check_all, require


@strict
class LDEBMConfig(RegistersModels, PipelinesInCheckpoint, PreTrainedConfig):
    r"""
    Configuration of [`LDEBMModel`].

    The defaults are those of the `"consistent"` preset, with the architecture of the paper's language-generation
    experiment (PTB). [`LDEBMConfig.from_preset`] starts from another preset, for example the published settings.
    Symbols are transformers' labels: give their number as `num_labels` or `num_symbols` (default 20), or their names
    as `id2label` or `label2id`.

    Code in the repositories of a pretrained encoder and decoder is run only with the argument
    `trust_remote_code=True`. It is no field: it is never saved, and a file that says so is not believed.

    Args:
        modality (`str`, *optional*, defaults to `"text"`): Kind of data: `"text"`, `"document"` (texts as bags of
            words, whose order is neither read nor written) or `"point"` (vectors of `point_size` real numbers).
        prior (`str`, *optional*, defaults to `"diffusion"`): Prior of the latent: `"diffusion"` (energy-based; with
            `num_levels=1` the single-level model SVEBM), `"gaussian"` (VAE), `"mixture"` (mixture of Gaussians:
            GM-VAE, DGM-VAE), `"discrete"` (categorical codes: DI-VAE), `"semi"` (a Gaussian and a code: SEMI-VAE),
            `"adversarial"` (a generator that is fitted to the latents after training: conditional GAN) or `"none"` (no
            latent: a recurrent language model). `"gaussian"` and `"none"` have no symbols.

        vocab_size (`int`, *optional*, defaults to 10004): Number of token types, including special tokens.
        embedding_size (`int`, *optional*, defaults to 512): Size of the token embeddings of encoder and decoder.
        encoder_hidden_size (`int`, *optional*, defaults to 512): Hidden size of the encoder's GRU, per direction.
        decoder_hidden_size (`int`, *optional*, defaults to 512): Hidden size of the decoder's GRU. Must equal
            `embedding_size`, because the output projection is the decoder's embedding.
        latent_size (`int`, *optional*, defaults to 40): Size d of the latent vector; for the prior `"semi"` the size
            of its Gaussian part.
        dropout (`float`, *optional*, defaults to 0.3): Dropout on the decoder's input embeddings and outputs.
        word_dropout (`float`, *optional*, defaults to 0.0): Fraction of the words that the encoder reads as
            `unk_token_id` in training (denoising autoencoders: 0.3); in documents, fraction of the words left out.
        encoder_head_activation (`bool`, *optional*, defaults to `True`): Whether LeakyReLU(0.01) precedes the linear
            maps to the posterior's mean and log variance.
        normalize_posterior (`bool`, *optional*, defaults to `True` for the prior `"diffusion"`, else `False`): Whether
            posterior means are normalised to zero mean and unit variance in every dimension, over the batch in
            training and by running statistics in evaluation (Zhu et al., ACL 2020). This fixes the latent's scale,
            which otherwise grows as long as the energy is flatter than the distribution of the latents.
        uniform_init_range (`float`, *optional*): Draw every parameter from U(-r, r), as the published text experiments
            do. Default: torch's own initialisation, except for word embeddings, which are drawn from N(0, 4/d), where
            d is their size, because torch's unit normal embeddings cost a text model its first epochs.

        encoder (`str`, *optional*, defaults to `"recurrent"`): Encoder of a text model: `"recurrent"` (a bidirectional
            GRU, trained from nothing) or `"pretrained"` (a transformer of the Hub with a small network to the
            posterior, of `encoder_hidden_size` units).
        encoder_name_or_path (`str`, *optional*): The pretrained encoder: the id of a model on the Hub, or a folder, in
            the layout of transformers or of sentence-transformers.
        encoder_revision (`str`, *optional*): Its branch, tag or commit. Default: the newest commit, which is kept.
        encoder_pooling (`str`, *optional*): How its states become one vector: `"mean"`, `"max"`, `"cls"` (the first
            token) or `"last"` (the last token). Default: as its files say, else the mean.
        encoder_normalize (`bool`, *optional*): Whether this vector is scaled to unit length. Default: as its files
            say, else not.
        encoder_trainable_layers (`int`, *optional*, defaults to 0): Number of its last layers that are trained. 0: it
            is frozen, and its vectors are computed once.
        encoder_lora_rank (`int`, *optional*, defaults to 0): Rank of low-rank adapters trained in it; 0: none.
        encoder_config, encoder_layout (`dict`, *optional*): Its configuration and how it makes vectors. Default: read
            from its files.
        encoder_digest (`str`, *optional*): A digest of its weights, which are refused if they are others than a model
            was trained with; `None` takes any weights. Default: computed when they are loaded for a new model.
        decoder (`str`, *optional*, defaults to `"recurrent"`): Decoder of a text model: `"recurrent"` (a GRU, trained
            from nothing) or `"pretrained"` (a language model of the Hub that reads the latent as a prefix).
        decoder_name_or_path (`str`, *optional*): The language model: the id of a model on the Hub, or a folder.
        decoder_revision (`str`, *optional*): Its branch, tag or commit. Default: the newest commit, which is kept.
        decoder_conditioning (`str`, *optional*, defaults to `"every_layer"`): Where it reads the latent:
            `"every_layer"` (keys and values of every layer) or `"prefix"` (embeddings before the text).
        decoder_prefix_length (`int`, *optional*, defaults to 4): Number of positions of the prefix.
        decoder_lora_rank (`int`, *optional*, defaults to 16): Rank of low-rank adapters that are trained in it; 0:
            none.
        decoder_trainable_layers (`int`, *optional*, defaults to 0): Number of its last layers that are trained.
        decoder_word_dropout (`float`, *optional*, defaults to 0.0): Fraction of the previous tokens that a decoder
            does not see in training, so that it relies on the latent (Bowman et al., CoNLL 2016).
        decoder_config (`dict`, *optional*): Its configuration. Default: read from its files.
        decoder_digest (`str`, *optional*): A digest of its weights, as `encoder_digest`.
        includes_base_models (`bool`, *optional*, defaults to `False`): Whether a checkpoint holds the weights of its
            pretrained encoder and decoder; otherwise it names them and holds what training changed.

        context_size (`int`, *optional*, defaults to 0): Size of the context vector, which encodes the turns of a
            dialogue before a text, and on which posterior, prior and decoder of a text model then depend (published:
            512). 0: no contexts.
        context_hidden_size (`int`, *optional*, defaults to 256): Hidden size, per direction, of the GRU that reads a
            turn.
        context_turns (`int`, *optional*, defaults to 5): Number of turns of a context that are read, counted from the
            last.
        speaker_markers (`str`, *optional*, defaults to `"none"`): Which turns start with the marker of their speaker,
            `<usr>` or `<sys>`: the turns of the `"context"`, `"all"` turns including the response (published for SMD),
            or `"none"`.

        document_hidden_size (`int`, *optional*, defaults to 2000): Hidden size of the document encoder and decoder.
        document_encoder_layers (`int`, *optional*, defaults to 2): Number of hidden layers of the document encoder,
            each followed by ReLU and dropout. The first one reads word counts.
        document_decoder_layers (`int`, *optional*, defaults to 4): Number of linear maps of the document decoder,
            including the last one to the vocabulary, with LeakyReLU(0.2) between them.
        document_dropout (`float`, *optional*, defaults to 0.5): Dropout in the document encoder.
        document_batch_norm (`bool`, *optional*, defaults to `True`): Whether the document decoder's logits are batch
            normalised, with a learned offset and no learned scale.
        document_batch_norm_momentum (`float`, *optional*, defaults to 0.001): Weight of a batch in the running means
            and variances that evaluation uses.

        point_size (`int`, *optional*, defaults to 2): Number of coordinates of a point.
        point_center (`list[float]`, *optional*): Subtracted from every point inside the model. Default: the origin.
        point_scale (`float`, *optional*, defaults to 1.0): Divides every point after that.
        point_hidden_size (`int`, *optional*, defaults to 200): Hidden size of the point encoder and decoder.
        point_encoder_layers (`int`, *optional*, defaults to 2): Number of linear maps of the point encoder before the
            maps to the posterior's parameters.
        point_decoder_layers (`int`, *optional*, defaults to 2): Number of linear maps of the point decoder.
        point_std (`float`, *optional*, defaults to 1.0): Standard deviation of p(x|z) = N(g(z), std² I), in units of
            `point_scale` (published: 1, with which the squared error averaged over two coordinates is -log p(x|z) up
            to a constant).
        point_noise (`float`, *optional*, defaults to 0.0): Standard deviation, in the same units, of the noise that is
            added to the points that the encoder reads in training.

        num_code_variables (`int`, *optional*, defaults to 1): Number M of categorical variables of the priors
            `"mixture"`, `"discrete"` and `"semi"`. A mixture has one for each of M equal slices of the latent.
        num_code_categories (`int`, *optional*): Number C of categories of each of these variables. Default: the M-th
            root of the number of symbols, so that every joint code is a symbol. With another number there are no
            symbols.
        gumbel_temperature (`float`, *optional*, defaults to 1.0): Temperature of the Gumbel-softmax from which codes
            are drawn in training.
        dispersion_weight (`float`, *optional*, defaults to 0.0): β of DGM-VAE. 0 is the evidence lower bound of the
            mixture, 1 the divergence from the component with averaged natural parameters.

        energy_network (`str`, *optional*, defaults to `"residual"`): `"residual"`, with a level embedding, or
            `"mlp"`, a plain GELU network for `num_levels=1` (SVEBM).
        energy_hidden_size (`int`, *optional*, defaults to 200): Hidden size of the energy network.
        energy_num_blocks (`int`, *optional*, defaults to 12): Number of residual blocks, or of hidden layers of the
            `"mlp"`.
        energy_spectral_norm (`bool`, *optional*, defaults to `True`): Whether all linear maps of the energy network
            have spectral normalisation.
        energy_temperature (`str`, *optional*, defaults to `"unit"`): Temperature τ_t, by which the energy is divided
            in the log-density of level t: `"unit"` (τ = 1) or `"step"` (τ_t = s_t², the squared Langevin step:
            published).
        base_measure (`str`, *optional*, defaults to `"gaussian"`): Base measure of the energy-based densities:
            `"flat"` (Eq. 5, published), with which an energy of zero gives a prior of variance 24.7, or `"gaussian"`
            (each level's density has the marginal under z ~ N(0, I) as a factor), with which an energy of zero gives a
            standard normal prior.
        symbol_levels (`str`, *optional*, defaults to `"all"`): Levels whose energy learns the symbols and is steered
            by them: `"first"` (level 0 alone: published) or `"all"`.
        symbol_groups (`list[int]`, *optional*): The symbol of each output of the energy network, for symbols with
            several outputs, as [`LDEBMModel.merge_symbols`] makes them: f_y is then the logsumexp of the outputs of y.
            Default: one output for each symbol.

        num_levels (`int`, *optional*, defaults to 6): Number T of noise levels. With a single level, the prior is
            p(z) ∝ exp(F(z)) N(z; 0, I), and the noise schedule does not matter.
        noise_schedule (`str`, *optional*, defaults to `"published"`): `"published"` (σ² from a product of 1000 small
            steps with linearly growing β) or `"linear_variance"` (σ²_{t+1} linear in t, as the paper's §2.2 says).
        noise_range (`list[float]`, *optional*): First and last β of the `"published"` schedule (default
            `[1e-4, 0.02]`), or first and last σ² of `"linear_variance"` (default `[0.1, 0.9995]`).
        base_level_noise (`bool`, *optional*, defaults to `False`): Whether the first β is a step of its own before
            level 0, so that "z_0" is z plus noise of standard deviation 0.01 (published), instead of a part of level
            0's step.
        scale_last_level (`bool`, *optional*, defaults to `False`): Whether the last level's variable is z̃ = a z, as it
            is at every other level, instead of z itself (published).

        level_sampling (`str`, *optional*, defaults to `"published"`): Levels that are trained per example and step:
            `"published"` (one of 0..T-2 at random, and always T-1), `"uniform"` (one of 0..T-1 at random, Algorithm
            1), `"stratified"` (the same, and of a batch as many at one level as at another, give or take one, which
            makes the loss vary less) or `"all"`.
        level_weighting (`str`, *optional*, defaults to `"likelihood"`): Weights λ_t of the levels in the prior loss:
            `"published"` (σ_1/σ_{t+1}) or `"likelihood"` (those of the log-likelihood, 1/τ_t, divided by how often
            `level_sampling` trains the level).
        log_normalizer_gradient (`bool`, *optional*, defaults to `True`): Whether the encoder's gradient includes
            ∇ log Z_t(z_{t+1}).
        terminal_prior (`bool`, *optional*, defaults to `True`): Whether the encoder's gradient includes log p(z_T).

        langevin_steps (`int`, *optional*, defaults to 10): Number K of Langevin steps per level.
        langevin_step_rule (`str`, *optional*, defaults to `"relative"`): Squared step size s_t² of each level:
            `"published"` and `"paper"` mean s_t² = b² c_t² σ²_{t+1}, with c_t² = σ̄_t/σ̄_0 (`"published"`, which needs
            `base_level_noise`) or c_t² = Π_{1≤i≤t+1} σ_i / σ_1 (`"paper"`, Eq. 12); `"relative"` means b² times the
            variance that level t's density has if the energy is constant.
        langevin_step_size (`float`, *optional*, defaults to 0.9): b² in these formulas (published: 2e-3, where c_t²
            is 1 to 96).
        langevin_step_decay (`float`, *optional*, defaults to 0.1): Ratio of the last s² of a chain to its first, with
            linear decay in between: large steps come near the target, and small steps undo their bias. 1: all steps
            are equal (published).
        langevin_integrator (`str`, *optional*, defaults to `"exponential"`): `"euler"`, z + ½ s² ∇ log p + s ε
            (Eq. 12, published), whose bias grows with the step size, or `"exponential"`, which integrates the Gaussian
            part of the density exactly for every s² up to that part's variance (b² up to 1 with `"relative"` steps).
        langevin_start (`str`, *optional*, defaults to `"gaussian"`): Start of each level's chain: `"previous"`,
            z_{t+1} itself (published), or `"gaussian"`, a draw from the level's density for a constant energy.
        langevin_final_noise (`bool`, *optional*, defaults to `True`): Whether the last step of a chain adds noise.
        langevin_metropolis (`bool`, *optional*, defaults to `False`): Whether every step has a Metropolis correction
            (MALA).
        guided_steps (`str`, *optional*): Steps of chains that a symbol steers: `"adaptive"` (every step has a
            Metropolis correction, and each chain finds its own step size from its acceptance, because guidance makes
            densities narrower) or `"fixed"` (the steps that the settings above describe). Default: adaptive with the
            exponential integrator, fixed with Euler's (published).
        label_guidance (`float`, *optional*, defaults to 4.0): Default `guidance_scale` γ of conditional sampling, the
            weight of log p(y|z). 1 is the model's own joint density. `None` means 1/τ_t, with which the energy of
            class y is f_y/τ_t (published).
        distilled_sampler (`dict`, *optional*): Sizes of the distilled sampler, `hidden_size` and `num_components`, and
            the `guidance_scale` that it was fitted with; set by [`LDEBMModel.distil_sampler`]. Default: there is none.
        latent_generator (`dict`, *optional*): Size of the generator of the prior `"adversarial"`, `hidden_size`; set
            by [`LDEBMModel.fit_adversarial_prior`]. Default: there is none yet.

        kl_weight (`float`, *optional*, defaults to 0.2): w_kl, weight of the prior loss and the posterior's entropy.
        mutual_information_weight (`float`, *optional*, defaults to 0.05): w_mi, weight of I(z; y) (Eq. 9); for priors
            with codes the weight of I(x; c), summed over the code variables.
        classification_weight (`float`, *optional*, defaults to 2.0): w_cls, weight of the symbols' cross-entropy.
        entropy_threshold (`float`, *optional*): Count the posterior's negative entropy only in dimensions where
            -½(1 + log σ²) exceeds this value (published: 1.0). Default: count all dimensions.

    Raises:
        ValueError: If a value is out of its range, or settings do not go together.
    """

    model_type = "ldebm"
    attribute_map: ClassVar[dict[str, str]] = {"num_symbols": "num_labels"}

    modality: Literal[tuple(MODALITIES)] = "text"
    prior: Literal[tuple(PRIORS)] = "diffusion"

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

    encoder: Literal[tuple(ENCODERS)] = "recurrent"
    encoder_name_or_path: str | None = None
    encoder_revision: str | None = None
    encoder_pooling: Literal["mean", "max", "cls", "last"] | None = None
    encoder_normalize: bool | None = None
    encoder_trainable_layers: int = 0
    encoder_lora_rank: int = 0
    encoder_config: dict[str, Any] | None = None
    encoder_layout: dict[str, Any] | None = None
    encoder_digest: str | None = None
    decoder: Literal[tuple(DECODERS)] = "recurrent"
    decoder_name_or_path: str | None = None
    decoder_revision: str | None = None
    decoder_conditioning: Literal["every_layer", "prefix"] = "every_layer"
    decoder_prefix_length: int = 4
    decoder_lora_rank: int = 16
    decoder_trainable_layers: int = 0
    decoder_word_dropout: float | int = 0.0
    decoder_config: dict[str, Any] | None = None
    decoder_digest: str | None = None
    includes_base_models: bool = False

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
    symbol_groups: list[int] | None = None

    num_levels: int = 6
    noise_schedule: Literal["published", "linear_variance"] = "published"
    noise_range: list[float] | None = None
    base_level_noise: bool = False
    scale_last_level: bool = False

    level_sampling: Literal["published", "uniform", "stratified", "all"] = "published"
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
    guided_steps: Literal["adaptive", "fixed"] | None = None
    label_guidance: float | int | None = 4.0
    distilled_sampler: dict[str, Any] | None = None
    latent_generator: dict[str, Any] | None = None

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
        self.trusts_base_models = Flag()("trust_remote_code", kwargs.pop("trust_remote_code", False))
        check_all(INHERITED_RULES, vars(self) | kwargs)
        for name, value in kwargs.items():
            require_json(name, value)
        counts = {name: kwargs.pop(name, None) for name in ("num_labels", "num_symbols")}
        counts = {name: count for name, count in counts.items() if count is not None}
        if self.normalize_posterior is None:
            self.normalize_posterior = self.prior_class.normalizes_posterior
        if self.label2id is not None:
            self.label2id = IdsByName()("label2id", self.label2id)  # JSON also has strings
        if self.id2label is None and self.label2id is not None:
            self.id2label = {symbol: name for name, symbol in self.label2id.items()}
        if self.id2label is None:
            kwargs["num_labels"] = next(iter(counts.values()), 20)
        for name, components in (("encoder", ENCODERS), ("decoder", DECODERS)):
            path = getattr(self, f"{name}_name_or_path")
            is_new = getattr(self, f"{name}_config") is None  # in a saved one, what is not absolute is an id
            if path is not None and is_new:
                setattr(self, f"{name}_name_or_path", absolute_name(path))
            if getattr(self, name) == "pretrained":
                components["pretrained"].complete_config(self)
        super().__post_init__(**kwargs)
        for name, count in counts.items():
            require(count == self.num_labels, name, count, f"{self.num_labels}, the number of symbols named")
        if self.label2id is None:
            self.label2id = self._inverse_names()

    def __setattr__(self, name, value):
        """As in transformers. New names of the symbols, `id2label`, also renew `label2id`."""
        # Names that contradict each other, as they may be until the configuration is complete, are left to the check.
        is_renaming = False
        if name == "id2label" and value and vars(self).get("id2label"):
            is_renaming = vars(self).get("label2id") == self._inverse_names()
        if is_renaming:
            value = {int(symbol): label for symbol, label in value.items()}
        super().__setattr__(name, value)
        if is_renaming:
            super().__setattr__("label2id", self._inverse_names())

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, trust_remote_code: bool = False, **kwargs):
        """As in transformers. A model of this configuration may run the code of its base models if told so here."""
        is_trusted = Flag()("trust_remote_code", trust_remote_code)
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        if is_trusted:
            config = loaded[0] if isinstance(loaded, tuple) else loaded
            config.trusts_base_models = True
        return loaded

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs):
        """As in transformers, but a file that says that code may be run is not believed."""
        values, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        return _without_trust(values), kwargs

    @classmethod
    def from_json_file(cls, json_file):
        """As in transformers, but a file that says that code may be run is not believed."""
        return cls(**_without_trust(cls._dict_from_json_file(json_file)))

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs):
        """
        As in transformers. Names of symbols among the arguments replace all that the dictionary says of them, and a
        dictionary that says that code may be run is not believed.

        Raises:
            ValueError: If the dictionary is the configuration of another kind of model.
        """
        kind = config_dict.get("model_type", cls.model_type)
        require(kind == cls.model_type, "model_type", kind, repr(cls.model_type))
        config_dict = _without_trust(config_dict)
        for name in BASE_MODEL_NAMES:
            if kwargs.get(name) is not None:
                kwargs[name] = absolute_name(kwargs[name])
        if kwargs.get("id2label") is not None or kwargs.get("label2id") is not None:
            of_names = ("id2label", "label2id", "num_labels", "num_symbols")
            given = {name: kwargs.pop(name) for name in of_names if name in kwargs}
            config_dict = {name: value for name, value in config_dict.items() if name not in of_names} | given
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def from_preset(cls, preset: str, **settings) -> "LDEBMConfig":
        """
        The configuration of a preset.

        Args:
            preset (`str`): A name of [`PRESETS`].
            settings: Fields of the configuration that differ from the preset.
        """
        require(isinstance(preset, str) and preset in PRESETS, "preset", preset, f"one of {sorted(PRESETS)}")
        known = {field.name for field in fields(cls)} | {"num_labels", "num_symbols", "trust_remote_code"}
        for name in settings:
            require(name in known, "settings", name, "fields of LDEBMConfig")
        return cls(**{**PRESETS[preset], **settings})

    def to_dict(self) -> dict[str, Any]:
        """As in transformers, without whether code may be run, which everybody decides anew."""
        return _without_trust(super().to_dict())

    def to_diff_dict(self) -> dict[str, Any]:
        """As in transformers, but always with the symbols' names, because transformers' own default is two labels."""
        names = self.to_dict()
        return super().to_diff_dict() | {name: names[name] for name in ("id2label", "label2id")}

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> "LDEBMConfig":
        """The configuration itself, of whose fields `decoder` and `encoder` are no configurations."""
        return self

    @property
    def modality_class(self) -> type[Modality]:
        """The class of the modality, which says what its data are like."""
        return MODALITIES[self.modality]

    @property
    def prior_class(self) -> type[Prior]:
        """The class of the prior, which says what the prior can do."""
        return PRIORS[self.prior]

    @property
    def adapts_guided_steps(self) -> bool:
        """Whether chains that a symbol steers find their own step sizes."""
        if self.guided_steps is None:
            return self.langevin_integrator == "exponential"
        return self.guided_steps == "adaptive"

    @property
    def eos_token_ids(self) -> list[int]:
        """The end marks, of which there may be none or several."""
        if self.eos_token_id is None:
            return []
        return self.eos_token_id if isinstance(self.eos_token_id, list) else [self.eos_token_id]

    @property
    def has_latent(self) -> bool:
        """Whether there is a latent vector."""
        return self.prior_class.has_latent

    @property
    def has_codes(self) -> bool:
        """Whether the posterior has categorical variables."""
        return self.prior_class.has_codes

    @property
    def has_symbols(self) -> bool:
        """Whether the model assigns symbols to its inputs."""
        return self.prior_class.has_symbols(self)

    @property
    def symbols_of_outputs(self) -> list[int]:
        """The symbol of each output of the model; of several outputs, where symbols were merged."""
        return list(range(self.num_labels)) if self.symbol_groups is None else list(self.symbol_groups)

    @property
    def code_categories(self) -> int:
        """C, the number of categories of a code variable."""
        if self.num_code_categories is not None:
            return self.num_code_categories
        return round(self.num_labels ** (1 / self.num_code_variables))

    @property
    def num_joint_codes(self) -> int:
        """C**M, the number of joint values of the code variables."""
        return self.code_categories**self.num_code_variables

    @property
    def gaussian_size(self) -> int:
        """Size of the latent's Gaussian part."""
        return self.latent_size if self.prior_class.has_gaussian_part else 0

    @property
    def total_latent_size(self) -> int:
        """Size of a latent vector as the decoder reads it: its Gaussian part, its one-hot codes, or both."""
        if not self.prior_class.decodes_codes:
            return self.gaussian_size
        return self.gaussian_size + self.num_code_variables * self.code_categories

    def _inverse_names(self) -> dict[str, int]:
        return {name: symbol for symbol, name in self.id2label.items()}

    def validate_each_setting(self):
        check_all(INHERITED_RULES | OWN_RULES, vars(self))
        for name, value in vars(self).items():
            require_json(name, value)
        require(self.is_encoder_decoder, "is_encoder_decoder", self.is_encoder_decoder, "True")
        for name in ("output_attentions", "output_hidden_states"):
            allowed = "False, because the model does not return what its layers compute"
            require(not getattr(self, name), name, getattr(self, name), allowed)
        if self.context_size:
            allowed = f"0 for a model of {self.modality}s"
            require(self.modality_class.reads_contexts, "context_size", self.context_size, allowed)
        require(self.decoder_hidden_size == self.embedding_size, "decoder_hidden_size", self.decoder_hidden_size,
                 f"equal to embedding_size={self.embedding_size}, to which the output is tied")  # fmt: skip
        if self.noise_range is not None:
            increasing = len(self.noise_range) == 2 and 0 < self.noise_range[0] <= self.noise_range[1] < 1
            require(increasing, "noise_range", self.noise_range, "two increasing numbers between 0 and 1")

    def validate_symbols(self):
        complete = bool(self.id2label) and sorted(self.id2label) == list(range(self.num_labels))
        require(complete, "id2label", self.id2label, "one name for each of the ids 0, 1, ...")
        inverse = self._inverse_names()
        require(len(inverse) == self.num_labels, "id2label", self.id2label, "without repeated names")
        require(self.label2id == inverse, "label2id", self.label2id, f"the inverse of id2label, {inverse}")
        if self.symbol_groups is not None:
            allowed = f"None, or a list in which each of the symbols 0 to {self.num_labels - 1} occurs, and no other"
            is_complete = set(self.symbol_groups) == set(range(self.num_labels))
            require(is_complete, "symbol_groups", self.symbol_groups, allowed)

    def validate_token_ids(self):
        for name in ("pad_token_id", "unk_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            value = getattr(self, name)
            ids = value if isinstance(value, list) else [] if value is None else [value]
            in_vocabulary = all(0 <= token < self.vocab_size for token in ids)
            require(in_vocabulary, name, value, f"in 0..{self.vocab_size - 1}, as vocab_size={self.vocab_size}")

    def validate_prior(self):
        if self.normalize_posterior:
            allowed = f"False for prior={self.prior!r}, which has no Gaussian part"
            require(self.gaussian_size > 0, "normalize_posterior", True, allowed)
        self.prior_class.validate(self)
        for name, prior in PRIORS.items():
            for setting in prior.exclusive_settings:
                value = getattr(self, setting)
                require(name == self.prior or not value, setting, value, f'used with prior="{name}" only')

    def validate_settings_of_components(self):
        components = (*MODALITIES.values(), *PRIORS.values(), ENCODERS["pretrained"], DECODERS["pretrained"])
        for component in components:
            component.validate_settings(self)


def _without_trust(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a configuration but for those that say whether code of base models may be run."""
    return {name: value for name, value in values.items() if name not in ("trust_remote_code", "trusts_base_models")}
