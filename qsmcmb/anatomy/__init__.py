"""Where in the brain a lesion lies."""
