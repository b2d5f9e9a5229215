"""Providers as data rows (`providers.yaml`), no code."""
