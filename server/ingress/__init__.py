"""The chat dialects that callers may speak beside the contract's own: one module each, pure translators."""
