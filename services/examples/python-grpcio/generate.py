"""Makes the stubs of the protocol beside this file: inference_pb2.py, health_pb2.py and their *_grpc.py."""

from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parents[2] / "proto"

for name in ("inference.proto", "health.proto"):
    failed = protoc.main(
        ["protoc", f"-I{PROTO}", f"--python_out={HERE}", f"--grpc_python_out={HERE}", str(PROTO / name)]
    )
    if failed:
        raise SystemExit(failed)
