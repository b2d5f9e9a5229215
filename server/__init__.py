"""The Interference server: one typed door to every model provider."""

from importlib.metadata import version

__version__ = version("interference")
