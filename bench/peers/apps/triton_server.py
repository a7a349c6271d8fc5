"""Starts the Triton server that the package nvidia-pytriton brings, on the model beside this file."""
import os
import pathlib
import site
import sys

here = pathlib.Path(__file__).resolve().parent
packages = pathlib.Path(site.getsitepackages()[0])
server = packages / "pytriton" / "tritonserver"
stub = server / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}" / "triton_python_backend_stub"
# The server looks for the interpreter beside its backend; the package keeps one for each version of Python.
beside = server / "backends" / "python" / stub.name
if not beside.exists():
    beside.symlink_to(stub)
libraries = [str(stub.parent), *map(str, packages.glob("nvidia_pytriton.libs"))]
os.environ["LD_LIBRARY_PATH"] = ":".join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")])
os.environ["PYTHONPATH"] = str(packages)
os.environ["APPS"] = str(here)
os.execv(
    server / "bin" / "tritonserver",
    [
        "tritonserver",
        f"--model-repository={here / 'triton'}",
        f"--backend-directory={server / 'backends'}",
        "--http-address=127.0.0.1",
        f"--http-port={os.environ['PORT']}",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--log-info=false",
    ],
)
