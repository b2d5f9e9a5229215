"""A profile for a long run by hand."""

from hypothesis import settings

settings.register_profile("long", max_examples=3000)
