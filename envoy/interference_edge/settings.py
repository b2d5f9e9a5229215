"""What can be set at the edge."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

# Any web page can make a browser send requests to this machine, and a completion costs money. So pages of
# this machine only, unless the settings say more.
LOOPBACK_ORIGINS = tuple(
    f"{scheme}://{host}{port}"
    for scheme in ("http", "https")
    for host in ("localhost", "127.0.0.1")
    for port in ("", ":*")
)


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """Settings of the edge. Times are in seconds."""

    host: str = "127.0.0.1"
    port: int = 1337  # 0 takes a free one; the admin socket tells which
    # (host, port) of each, or the path of a Unix socket; some may have nobody behind them for a while
    workers: tuple[tuple[str, int] | str, ...] = (("127.0.0.1", 50051),)
    health_service: str = ""  # what is asked for its health; nothing: the server as a whole
    max_body_bytes: int = 32 * MIB  # of a REST request
    max_answer_bytes: int = 128 * MIB  # of a REST answer that is not streamed: images in base64
    held_bytes: int = 64 * KIB  # of a stream that its caller does not read, at each of Envoy's two sides
    window_bytes: int = 256 * KIB  # the same over HTTP/2, where it is how far a caller may send ahead, too
    cors_origins: tuple[str, ...] = LOOPBACK_ORIGINS  # `*` stands for any part; alone, for any origin
    admin_socket: str | None = None  # path of a Unix socket for Envoy's admin interface
    descriptor: str = "gen/transcoder.binpb"  # the contract as the transcoder reads it
    openapi: str = "gen/openapi.json"  # the OpenAPI document, served as it is
    idle_timeout: float = 1800.0  # of a stream on which nothing moves: reasoning models think for long
    headers_timeout: float = 10.0  # until a request's headers are there
    upload_timeout: float = 300.0  # until a whole request is there

    @property
    def buffer_bytes(self) -> int:
        """What Envoy buffers of a body: a lifted one is larger than the one that came."""
        return 2 * self.max_body_bytes + MIB
