"""TensorZero's gateway, which its Python package can start in the process of a client: `serve.py CONFIG`.

Prints the base URL; the gateway takes a free port of 127.0.0.1. The program of its own is not on PyPI:
https://www.tensorzero.com/docs/deployment/tensorzero-gateway
"""
# mypy: disable-error-code="import-not-found"

import signal
import sys
import warnings
from types import SimpleNamespace

import tensorzero


def main(config: str) -> None:
    """Serves until SIGTERM."""
    warnings.simplefilter("ignore", DeprecationWarning)  # it tells to use the process
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    client = SimpleNamespace()
    tensorzero.patch_openai_client(client, config_file=config, async_setup=False)
    sys.stdout.write(f"{client.base_url}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM})
    tensorzero.close_patched_openai_client_gateway(client)


if __name__ == "__main__":
    main(*sys.argv[1:])
