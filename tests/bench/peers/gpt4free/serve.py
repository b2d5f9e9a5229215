"""gpt4free's API server with one provider, its own for OpenAI-compatible servers: `serve.py UPSTREAM PORT`.

A script because the address of that provider is no setting. A provider may be given as a URL instead, but
then it asks the server for its models on every call.
"""
# mypy: disable-error-code="import-not-found"

import sys

from g4f.client.factory import AbstractClientFactory


def main(upstream: str, port: str) -> None:
    """Serves until SIGTERM."""
    # Its import asks g4f.dev for a list of servers, unless there is one.
    AbstractClientFactory._live_providers = {
        "providers": {"default": {"baseUrl": upstream}},
        "defaultModels": {},
    }

    from g4f.api import AppConfig, run_api
    from g4f.Provider import Custom

    Custom.base_url = upstream
    AppConfig.set_config(provider=Custom.__name__, ignore_cookie_files=True)
    run_api(bind=f"127.0.0.1:{port}")


if __name__ == "__main__":
    main(*sys.argv[1:])
