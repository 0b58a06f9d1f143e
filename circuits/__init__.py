"""Test what you say about attention heads: claims in YAML, measured on a real transformer."""

__version__ = "0.1.0"
