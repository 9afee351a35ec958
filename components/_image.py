"""The image of every step: it carries this package, so that no step installs anything when it runs."""

IMAGE = "ghcr.io/turnout-dev/pipeline:0.1.0"
