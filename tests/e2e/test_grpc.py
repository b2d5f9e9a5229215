"""What gRPC clients rely on besides the calls: reflection and health, on Envoy's port and on a worker's."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.calls import TIMEOUT
from tests.service import Service

SERVICES = [f"interference.v1.{name}" for name in ("Chat", "Images", "Models", "Providers")]


@pytest.mark.parametrize("where", ["envoy", "worker"])
def test_services_are_found_by_reflection(service: Service, where: str) -> None:
    with grpc.insecure_channel(getattr(service, where)) as channel:
        found = ProtoReflectionDescriptorDatabase(channel)
        assert set(found.get_services()) > set(SERVICES)
        file = found.FindFileContainingSymbol("interference.v1.Chat")
    assert file.name == "interference/v1/chat.proto"


@pytest.mark.parametrize("where", ["envoy", "worker"])
@pytest.mark.parametrize("name", ["", *SERVICES])
def test_health_is_told(service: Service, where: str, name: str) -> None:
    with grpc.insecure_channel(getattr(service, where)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_unknown_method_is_unimplemented(service: Service) -> None:
    with grpc.insecure_channel(service.envoy) as channel:
        call: Any = channel.unary_unary("/interference.v1.Chat/Nonsense")
        with pytest.raises(grpc.RpcError) as failed:
            call(b"", timeout=TIMEOUT)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", ["CreateCompletion", "StreamCompletion"])
def test_a_message_that_is_none_is_the_callers_fault(service: Service, method: str) -> None:
    with grpc.insecure_channel(service.envoy) as channel:
        call: Any = channel.unary_stream(f"/interference.v1.Chat/{method}")
        with pytest.raises(grpc.RpcError) as failed:
            list(call(b"\xff\xff\xff", timeout=TIMEOUT))
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
