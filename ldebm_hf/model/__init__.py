"""The model and all that ships with a checkpoint. The folder is flat because the Hub loads custom code that way."""
