"""A short run without random noise, whose loss curve does not depend on how many processes share the batches.

torchrun ... noiseless_run.py OUTPUT_DIR PER_DEVICE_BATCH_SIZE
"""

import sys

import pytest
from tiny_runs import NOISELESS_MODEL, remove_noise, tiny_corpus, tiny_trainer

from ldebm_hf.training import evaluation, loop


def main(output_dir: str, batch_size: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "NUM_PRIOR_SAMPLES", 32)
        patch.setattr(loop, "plot_validation_curves", lambda *_: False)
        remove_noise(patch)
        tiny_trainer(
            output_dir,
            tiny_corpus(num_train=43, labels="some"),
            NOISELESS_MODEL,
            per_device_train_batch_size=int(batch_size),
            num_train_epochs=3,
            logging_steps=1,
            save_steps=2,
        ).train()


if __name__ == "__main__":
    main(*sys.argv[1:])
