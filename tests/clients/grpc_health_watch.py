"""Watches the overall health over gRPC: prints each status, ends once it is lost again.

Reconnecting is the client's own affair: the script may be started before the replica listens.
"""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reference import GRPC

health = health_pb2_grpc.HealthStub(grpc.insecure_channel(GRPC))
request = health_pb2.HealthCheckRequest(service="readiness")
served = False
for answer in health.Watch(request, wait_for_ready=True, timeout=120):
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(status, flush=True)
    if served and status != "SERVING":
        break
    served = status == "SERVING"
