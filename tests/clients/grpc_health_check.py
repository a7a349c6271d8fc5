"""grpcio-health-checking and grpcio-reflection against a ready replica."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from reference import GRPC, MODEL

channel = grpc.insecure_channel(GRPC)
health = health_pb2_grpc.HealthStub(channel)
SERVING = health_pb2.HealthCheckResponse.SERVING

for service in ("", "liveness", "readiness", MODEL):
    answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert answer.status == SERVING, (service, answer)

try:
    health.Check(health_pb2.HealthCheckRequest(service="no-such-service"), timeout=10)
    raise SystemExit("an unknown service has a health")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.NOT_FOUND, error

reflection = ProtoReflectionDescriptorDatabase(channel)
services = set(reflection.get_services())
assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= services, services
file = reflection.FindFileContainingSymbol("inference.GRPCInferenceService")
assert "ModelInfer" in [method.name for method in file.service[0].method]
