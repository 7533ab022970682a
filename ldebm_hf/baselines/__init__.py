"""What a model is compared with, none of which needs one of ours."""
