"""Settings from recipes and command lines: what is accepted, what is refused, and what the errors say."""

import pytest
import yaml

from ldebm_hf import build_tokenizer
from ldebm_hf.model.configuration_ldebm import PRESETS, LDEBMConfig
from ldebm_hf.pseudo_labels.geometric_clustering import ClusteringSettings
from ldebm_hf.training import Settings, load_settings
from ldebm_hf.training.config_help import argument_groups, summary
from ldebm_hf.training.settings import REMOVED_SETTINGS, SETTINGS_FOR_SOME_MODALITIES, known_settings


@pytest.fixture
def recipe(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_defaults_are_the_published_optimiser_and_clusters_of_means():
    settings = load_settings([])
    assert settings == Settings()
    assert settings.model["preset"] in PRESETS
    assert (settings.training.learning_rate, settings.training.prior_learning_rate) == (1e-3, 1e-4)
    assert (settings.training.max_grad_norm, settings.training.prior_max_grad_norm) == (0.5, 10)
    assert settings.clustering == ClusteringSettings(
        True, "mean", normalize=False, num_iterations=20, seed=2021, balanced_resampling=True
    )


def test_command_line_goes_over_the_recipe(recipe):
    path = recipe("training: {num_train_epochs: 60, seed: 300}\nmodel:\n  latent_size: 40\ndata:\n")
    settings = load_settings(["--config", path, "--latent_size", "8", "--training.num_train_epochs=2"])
    assert (settings.training.num_train_epochs, settings.training.seed) == (2, 300)
    assert settings.model["latent_size"] == 8


def test_short_names():
    settings = load_settings(
        "--data my.csv --num_symbols 30 --seed 7 --clustering.seed 8 --resume latest --text-column t".split()
    )
    assert (settings.data.source, settings.data.text_column) == ("my.csv", "t")
    assert settings.model["num_symbols"] == 30
    assert (settings.training.seed, settings.clustering.seed) == (7, 8)
    assert settings.training.resume == "latest"


def test_text_is_read_by_the_declared_type(recipe):
    path = recipe(
        "training: {learning_rate: 1e-3, prior_max_grad_norm: none, mixed_precision: no, max_steps: -1}\n"
        "data: {lowercase: true, label_column: null, text_column: no}\n"
        "model: {noise_range: [1e-4, 0.02], entropy_threshold: none, dropout: 0, id2label: {0: a, 1: b}}\n"
    )
    settings = load_settings(["--config", path, "--model.label_guidance", "1"])
    assert (settings.training.learning_rate, settings.training.prior_max_grad_norm) == (0.001, None)
    assert settings.training.mixed_precision == "no"
    assert (settings.data.lowercase, settings.data.label_column, settings.data.text_column) == (True, None, "no")
    assert settings.model["noise_range"] == [1e-4, 0.02]
    assert settings.model["entropy_threshold"] is None
    assert settings.model["id2label"] == {0: "a", 1: "b"}
    assert settings.model["label_guidance"] == 1


def test_list_of_names_may_be_separated_by_commas(recipe):
    of_points = ["--modality", "point", "--point_columns"]
    assert load_settings([*of_points, "x, y"]).data.point_columns == ["x", "y"]
    assert load_settings([*of_points, "[x, y]"]).data.point_columns == ["x", "y"]
    assert load_settings([*of_points, "none"]).data.point_columns is None
    in_recipe = recipe("model: {modality: point}\ndata: {point_columns: [u, v]}")
    assert load_settings(["--config", in_recipe]).data.point_columns == ["u", "v"]
    with pytest.raises(ValueError, match="data.point_columns=.* needs model.modality=point"):
        load_settings(["--point_columns", "x,y"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--learnin_rate 1", "unknown setting 'learnin_rate': did you mean learning_rate"),
        ("--training.latent_size 1", r"unknown setting 'training.latent_size': did you mean model.latent_size"),
        ("--trainin.seed 1", "unknown setting 'trainin.seed': did you mean clustering.seed or training.seed"),
        ("--qqq 1", "unknown setting 'qqq': --help lists all settings"),
        ("--vocab_sizes 1", "unknown setting 'vocab_sizes': did you mean vocab_size"),
        ("--model.vocab_size 1", "unknown setting 'model.vocab_size': did you mean data.vocab_size"),
        ("--learning_rate fast", "training.learning_rate must be a number, got 'fast'"),
        ("--max_train_examples 1.5", "data.max_train_examples must be a whole number or none, got '1.5'"),
        ("--lowercase maybe", "data.lowercase must be true, false or none, got 'maybe'"),
        ("--mixed_precision fp8", "training.mixed_precision must be no, fp16, bf16 or none, got 'fp8'"),
        ("--features raw", "clustering.features must be whitened, .* or encoder_classes, got 'raw'"),
        ("--preset publish", "model.preset must be published, .*, got 'publish' .did you mean published"),
        ("--latent_size wide", "model.latent_size must be a whole number, got 'wide'"),
        ("--noise_range [1,x]", "model.noise_range must be a list of numbers such as 0.1,0.9 or none, got"),
        ("--id2label {0:a}", "model.id2label must be a mapping such as {0: a, 1: b}, got"),
        ("--num_train_epochs 0", "training.num_train_epochs must be at least 1, got 0"),
        ("--max_grad_norm 0", "training.max_grad_norm must be greater than 0, got 0.0"),
        ("--num_components 0", "clustering.num_components must be at least 1, got 0"),
        ("--warmup_steps 5", "training.warmup_steps=5 has no effect with lr_scheduler_type=constant"),
        ("--kl_cycles 5", "training.kl_cycles=5 has no effect with kl_schedule=constant"),
        ("--group_by_length true", "training.group_by_length is no longer a setting and can only be false"),
        ("--seed", "--seed needs a value"),
        ("--seed --resume latest", "--seed needs a value"),
        ("train", "expected --name VALUE, got 'train'"),
        ("--noise_range [1,", "model.noise_range is not valid YAML"),
    ],
)
def test_mistakes_on_the_command_line_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_settings(arguments.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer: {lr: 1}", "unknown section 'optimizer', the sections are data, model, clustering, training"),
        ("training: {lr: 1}", "unknown setting 'training.lr'"),
        ("training: 3", "section 'training' of recipe .* must map names to values, got '3'"),
        ("- a", r"must map sections to settings, got \['a'\]"),
        ("a: [", "is not valid YAML"),
        pytest.param("a: " + "[" * 5000, "is not valid YAML: maximum recursion depth exceeded", id="deep"),
    ],
)
def test_mistakes_in_a_recipe_are_named(recipe, text, message):
    with pytest.raises(ValueError, match=message):
        load_settings(["--config", recipe(text)])


def test_a_recipe_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes("# Länge\n".encode("cp1252"))
    with pytest.raises(ValueError, match="recipe '.*recipe.yaml' must be a text file in UTF-8"):
        load_settings(["--config", str(path)])


def test_missing_recipe_is_named():
    with pytest.raises(FileNotFoundError, match="there is no recipe 'nowhere.yaml'"):
        load_settings(["--config", "nowhere.yaml"])


def test_similar_recipes_are_suggested(tmp_path):
    (tmp_path / "texts.yaml").touch()
    with pytest.raises(FileNotFoundError, match=r"--config\): did you mean .*/texts\.yaml\?$"):
        load_settings(["--config", str(tmp_path / "text.yaml")])


def test_ambiguous_short_name_is_refused(monkeypatch):
    monkeypatch.setattr("ldebm_hf.training.command_line.ALIASES", {})
    with pytest.raises(ValueError, match="say clustering.seed or training.seed"):
        load_settings(["--seed", "1"])


def test_saved_settings_are_a_recipe_of_the_same_run(tmp_path):
    arguments = "--num_symbols 4 --entropy_threshold none --mixed_precision no --text_column été --max_steps 7".split()
    settings = load_settings([*arguments, "--resume", "latest"])
    settings.save(tmp_path / "settings.yaml")
    again = load_settings(["--config", str(tmp_path / "settings.yaml")])
    assert again.training.resume is None, "the recipe starts the run, it does not resume it"
    again.training.resume = "latest"
    assert again == settings
    assert list(yaml.safe_load((tmp_path / "settings.yaml").read_text("utf-8"))) == [
        "data",
        "model",
        "clustering",
        "training",
    ]


def test_help_lists_every_setting(capsys):
    with pytest.raises(SystemExit) as stop:
        load_settings(["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for full_name in known_settings():
        short = full_name.split(".")[1]
        assert f"--{short} " in text or f"--{full_name} " in text
    assert all(len(line) <= 119 for line in text.splitlines())


@pytest.mark.parametrize(
    ("model", "label_names", "id2label"),
    [
        ({}, ["bad", "good"], {0: "bad", 1: "good"}),
        ({"num_symbols": 4}, ["bad", "good"], {0: "bad", 1: "good", 2: "LABEL_2", 3: "LABEL_3"}),
        ({"num_symbols": 2}, [], {0: "LABEL_0", 1: "LABEL_1"}),
        ({"id2label": {0: "x"}}, ["bad", "good"], {0: "x"}),
    ],
)
def test_symbols_are_named_after_the_classes(model, label_names, id2label):
    tokenizer = build_tokenizer(["a b", "b c"])
    config = Settings(model=model).model_config(tokenizer, label_names)
    assert config.id2label == id2label
    assert config.vocab_size == len(tokenizer)
    assert config.decoder_start_token_id == config.bos_token_id == tokenizer.bos_token_id
    assert (config.pad_token_id, config.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert config.unk_token_id == tokenizer("zebra")["input_ids"][1]


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_reaches_the_configuration(preset):
    config = Settings(model={"preset": preset, "langevin_steps": 3}).model_config(build_tokenizer(["a b"]))
    expected = PRESETS[preset] | {"langevin_steps": 3}
    if expected.get("normalize_posterior", False) is None:  # as goes with the prior
        expected["normalize_posterior"] = True
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("model", "enabled"),
    [({}, True), ({"preset": "published"}, True), ({"preset": "svebm"}, False), ({"preset": "gm_vae"}, False)]
    + [({"prior": "discrete"}, False), ({"num_levels": 1}, False)],
)
def test_clustering_is_by_default_the_diffusion_priors_alone(model, enabled):
    assert Settings(model=model).clustering.enabled is enabled
    by_words = Settings(model=model, clustering=ClusteringSettings(features="word_classes"))
    assert by_words.clustering.enabled, "which all priors of symbols can be taught"
    assert Settings(model=model, clustering=ClusteringSettings(enabled=not enabled)).clustering.enabled is not enabled


def test_word_classes_are_not_for_priors_without_symbols_and_know_no_k_means():
    settings = Settings(model={"preset": "vae"}, clustering=ClusteringSettings(features="word_classes"))
    assert not settings.clustering.enabled
    for name, value in {"num_iterations": 3, "seed": 1, "normalize": True, "initialization": "previous"}.items():
        with pytest.raises(ValueError, match=f"clustering.{name}={value} is a setting of K-means and cannot"):
            Settings(clustering=ClusteringSettings(features="word_classes", **{name: value}))


def test_settings_that_overrule_their_preset_are_told():
    """A recipe's kl_weight makes a variational autoencoder of an autoencoder: somebody should say so."""
    settings = Settings(model={"preset": "ae", "kl_weight": 0.2, "latent_size": 4})
    assert settings.differences_to_preset() == [("kl_weight", 0.2, 0.0)]
    assert Settings(model={"preset": "ae", "kl_weight": 0.0}).differences_to_preset() == []


def test_settings_of_an_earlier_run_are_read(recipe):
    """Settings that no longer exist stand in the `settings.yaml` of earlier runs, with the value runs have now."""
    path = recipe("training: {group_by_length: false, greater_is_better: null, hub_revision: null, max_energy: 1e6}")
    assert load_settings(["--config", path]) == Settings()
    for full_name in REMOVED_SETTINGS:
        assert full_name not in known_settings()
    with pytest.raises(ValueError, match="max_energy is no longer a setting and can only be 1000000.0, got '5'"):
        load_settings(["--config", path, "--max_energy", "5"])


def test_value_of_the_model_is_the_one_given_else_the_presets_else_the_default():
    settings = Settings(model={"preset": "svebm", "latent_size": 7})
    assert settings.model_value("latent_size") == 7
    assert settings.model_value("num_levels") == PRESETS["svebm"]["num_levels"] == 1
    assert settings.model_value("dropout") == LDEBMConfig().dropout


def test_settings_for_some_modalities_are_settings():
    assert set(SETTINGS_FOR_SOME_MODALITIES) <= set(known_settings())


def test_help_has_a_sentence_on_every_setting_by_topic(capsys):
    for full_name, item in known_settings().items():
        section, _, name = full_name.partition(".")
        if section != "model" or name in argument_names():
            assert item.help, full_name
    with pytest.raises(SystemExit):
        load_settings(["--help"])
    text = capsys.readouterr().out
    assert text.index("\nOptimiser\n") < text.index("--learning_rate 0.001 ") < text.index("\nHugging Face Hub\n")
    assert "do not count. Allowed: english or none." in " ".join(text.split())
    assert "--preset consistent" in text and "Allowed: published, consistent, svebm" in " ".join(text.split())


def argument_names() -> set[str]:
    return {name for group in argument_groups(LDEBMConfig) for name in group}


class Documented:
    """A class.

    Args:
        size (`int`, *optional*, defaults to 3): Its size, e.g. `3`. More
            about it. Default: 3. And more.
        name (`str`): Its name (a `str`).

        other (`dict[str, int]`, *optional*): The last one.
    """


def test_help_of_the_model_is_its_docstrings():
    first, second = argument_groups(Documented)
    assert first == {"size": "Its size, e.g. `3`. More about it. Default: 3. And more.", "name": "Its name (a `str`)."}
    assert second == {"other": "The last one."}
    assert summary(first["size"]) == "Its size, e.g. 3. Default: 3."
    described = argument_names()
    assert {"latent_size", "prior", "langevin_steps", "kl_weight"} <= described <= set(LDEBMConfig.__annotations__)


@pytest.mark.parametrize("name", ["", "  "])
def test_output_folder_needs_a_name(name):
    with pytest.raises(ValueError, match=r"training.output_dir must name a folder, got '\s*' \(\. is the"):
        load_settings(["--output_dir", name])
    assert load_settings(["--output_dir", "."]).training.output_dir == "."
