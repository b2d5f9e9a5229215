"""Where a provider's operations are."""

from urllib.parse import quote, urlencode

from server.rows import Row

# Where each operation is found below the base URL, where the row's profile does not say otherwise.
_PATHS = {
    "models": "models",
    "chat": "chat/completions",
    "text_completions": "completions",
    "embeddings": "embeddings",
    "images": "images/generations",
}
_MODEL = "{model}"


def url(row: Row, name: str, model: str) -> str:
    """The address of an operation, or of the list of models."""
    path = _path(row, name).replace(_MODEL, quote(model, safe=""))
    query = f"?{urlencode(row.profile.query)}" if row.profile.query else ""
    return f"{row.base_url.rstrip('/')}/{path}{query}"


def depends_on_model(row: Row, name: str) -> bool:
    """Whether the address of an operation is another for each model."""
    return _MODEL in _path(row, name)


def _path(row: Row, name: str) -> str:
    return row.profile.paths.get(name, _PATHS[name])
