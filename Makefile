PYTHON ?= python3
# The demo is small: two threads are enough for it, and a fixed number gives the same run on machines with more cores.
DEMO_THREADS ?= 2
# Without an NVIDIA driver take PyTorch's CPU wheel (0.2 GB); the one on PyPI brings CUDA along (several GB).
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,--extra-index-url https://download.pytorch.org/whl/cpu)

BIN := .venv/bin
INSTALLED := .venv/.installed
SPACE_OPTIONS ?=
MODULE ?=
SAMPLE ?=

# Folders whose tests are quick, and one training; commands, examples, experiments, the Hub and the page are not here.
FAST_TESTS := tests/test_imports.py tests/baselines tests/data tests/docs/test_pages.py tests/files tests/likelihood \
	tests/metrics tests/model tests/pseudo_labels tests/reports tests/scores tests/text \
	tests/training/test_batches.py tests/training/test_settings.py \
	tests/training/test_loop.py::test_run_leaves_everything_a_user_needs
# Of these, the files that take seconds: they read releases, start processes, compile, draw or save much.
NOT_FAST := tests/data/releases tests/files/test_locks.py tests/files/test_writing.py \
	tests/likelihood/test_latent_density.py tests/model/test_base_model_files.py tests/model/test_base_models.py \
	tests/model/test_changed_settings.py tests/model/test_distilled_sampler.py \
	tests/model/test_gradient_checkpointing.py tests/model/test_hub_form.py tests/model/test_initialisation.py \
	tests/model/test_merged_symbols.py tests/model/test_noise.py tests/model/test_peft.py \
	tests/model/test_pickling.py tests/model/test_pipeline.py tests/model/test_pretrained_decoder.py \
	tests/model/test_text_classifier.py tests/pseudo_labels/test_encoder_classes.py \
	tests/reports/test_model_card.py tests/reports/test_report_page.py tests/scores/test_distances.py \
	tests/scores/test_point_model_scores.py tests/text/test_conventions.py tests/text/test_retraining.py
# And single tests.
NOT_FAST_NAMES := load_no_optional_package or without_the_optional_packages or slow_module \
	or compiled_gradient or chains_that_settle or log_density_is_that or four_standard_deviations
# Modules are compiled once, also where Python is told to write no bytecode: tests start many processes.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal

.PHONY: help install demo space lint test test-fast test-floors mutation campaign transformers-table docs bench clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED)  ## create .venv and install the package with pinned versions (the targets below do so themselves)

demo: $(INSTALLED)  ## train on the built-in corpus (2 minutes on 2 CPU cores), then write sentences for each symbol
	$(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		--num_cpu_threads_per_process $(DEMO_THREADS) examples/train.py --config demo
	$(BIN)/python examples/generate.py outputs/demo

space: $(INSTALLED)  ## start the page on this machine, with the model in spaces_app (SPACE_OPTIONS="outputs/mine --port 7861" for others)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cpu,demo]'
	$(BIN)/python spaces_app/app.py $(SPACE_OPTIONS)

lint: $(INSTALLED)  ## ruff
	$(BIN)/ruff check .

test: lint  ## ruff, then all tests, on all cores; those of the page where gradio (and for a browser Playwright and Chromium) are to be had
	@$(BIN)/python -m pip install --quiet --retries 1 -c constraints.txt -e '.[cpu,demo,browser]' || \
		echo "The page's packages cannot be installed here: its tests are skipped." >&2
	$(PYTEST)

test-fast: $(INSTALLED)  ## quick tests of data, tokenizers, the model, scores and the import rule, and one training; no command, page or Hub
	$(PYTEST) $(FAST_TESTS) $(addprefix --ignore=,$(NOT_FAST)) -m "not slow" -k "not ($(NOT_FAST_NAMES))"

transformers-table: $(INSTALLED)  ## run transformers' own test suites; writes docs/results/transformers_suites.md
	$(BIN)/python -m pytest -q tests/transformers/test_modeling_suite.py tests/transformers/test_tokenization_suite.py \
		--transformers-table docs/results/transformers_suites.md

test-floors:  ## some of the tests with the lowest and the newest versions that pyproject.toml admits, each installed anew
	$(PYTHON) tests/version_ranges.py lowest newest --torch_index="$(TORCH_INDEX)"

mutation: $(INSTALLED)  ## change the core in one place at a time: do its tests notice? (MODULE=langevin SAMPLE=40 for less)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cpu,mutation]'
	$(BIN)/python tests/mutation/run_mutants.py $(MODULE) $(if $(SAMPLE),--sample $(SAMPLE))

campaign: $(INSTALLED)  ## an hour of kills, damage, random requests and visitors of the page; writes docs/results/campaign.md
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cpu,demo]'
	$(BIN)/python benchmarks/campaign.py --page docs/results/campaign.md

docs: $(INSTALLED)  ## write docs/reference/settings.md from the code
	$(BIN)/python -m ldebm_hf.training.settings_reference docs/reference/settings.md

bench: $(INSTALLED)  ## compare speeds with the published style; prints a table of ratios, writes outputs/bench.json
	$(BIN)/python benchmarks/run.py

clean:  ## remove caches and build leftovers (keeps .venv and outputs)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# torch goes first and alone: once it is there, no later requirement replaces the build that was chosen.
$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || { $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "ldebm_hf needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)." \
			"Name another one: make PYTHON=python3.11" >&2; exit 1; }; \
		$(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install --retries 1 $(TORCH_INDEX) -c constraints.txt torch
	$(BIN)/python -m pip install -c constraints.txt -e '.[cpu,test]'
	@touch $@
