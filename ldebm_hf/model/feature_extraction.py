"""transformers' feature-extraction pipeline, with latents as the features of this package's models."""

from transformers import FeatureExtractionPipeline


class LatentExtractionPipeline(FeatureExtractionPipeline):
    """
    transformers' own pipeline, except that the features of an [`LDEBMModel`] are the means of its posteriors,
    `(1, total_latent_size)` for each text. The pipeline of transformers would return the first output of the model's
    call, which is the loss.
    """

    def _forward(self, model_inputs):
        if self.model.config.model_type != "ldebm":
            return super()._forward(model_inputs)
        return self.model.encode(**model_inputs)
