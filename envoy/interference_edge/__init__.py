"""The edge: Envoy's configuration, generated from the contract and the settings."""

from interference_edge.config import render
from interference_edge.settings import LOOPBACK_ORIGINS, EdgeSettings

__all__ = ["LOOPBACK_ORIGINS", "EdgeSettings", "render"]
