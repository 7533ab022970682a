"""The page in the browser, made with gradio, which only this folder imports."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # gradio reads it when it is imported
