"""The Interference server: one typed door to every model provider."""
