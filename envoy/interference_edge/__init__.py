"""Envoy configuration, generated from the contract and the settings."""
