"""The operator's page and the other documents: their grpcurl lines, read as grpcurl reads them, sent to what runs."""

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2

from imagegate.testing.system import system

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "deploy/k8s/README.md"
DOCUMENTS = (PAGE, ROOT / "README.md", ROOT / "protos/README.md", ROOT / "services/README.md")
OPERATORS = "imagegate.v1.RouterAdminService"


@dataclass(frozen=True, slots=True)
class Line:
    """A call as grpcurl would make it."""

    port: int
    method: str
    data: str
    protoset: str | None


def methods() -> Mapping[str, MethodDescriptor]:
    """Every method that may be called without reflection, by its path; and health."""
    pool = descriptor_pool.DescriptorPool()
    shipped = descriptor_pb2.FileDescriptorSet.FromString((ROOT / "protos/imagegate.protoset").read_bytes())
    health = descriptor_pb2.FileDescriptorProto.FromString(health_pb2.DESCRIPTOR.serialized_pb)
    found: dict[str, MethodDescriptor] = {}
    for file in (*shipped.file, health):
        pool.Add(file)
    for file in (*shipped.file, health):
        for service in pool.FindFileByName(file.name).services_by_name.values():
            found |= {f"{service.full_name}/{method.name}": method for method in service.methods}
    return found


METHODS = methods()


def parser() -> argparse.ArgumentParser:
    """What these documents use of grpcurl; it takes one dash for a long name."""
    made = argparse.ArgumentParser(prog="grpcurl", allow_abbrev=False, exit_on_error=False)
    made.add_argument("-plaintext", action="store_true", required=True)
    made.add_argument("-format-error", action="store_true")
    made.add_argument("-max-msg-sz", type=int)
    made.add_argument("-max-time", type=float)
    made.add_argument("-protoset", default=None)
    made.add_argument("-d", default="{}")
    made.add_argument("address")
    made.add_argument("method")
    return made


def lines(document: Path) -> Sequence[Line]:
    """Every grpcurl line of a document, but those that list."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", document.read_text(), re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = []
    for command in commands:
        words = shlex.split(command, comments=True)
        if not words or words[0] != "grpcurl" or words[-1] == "list":
            continue
        given = parser().parse_args(words[1 : words.index("|") if "|" in words else None])
        found.append(Line(int(given.address.rpartition(":")[2]), given.method, given.d, given.protoset))
    return found


def request(line: Line) -> bytes:
    """What goes over the wire. Raises ParseError for a field that there is not."""
    kind = message_factory.GetMessageClass(METHODS[line.method].input_type)
    wire: bytes = json_format.Parse(line.data, kind()).SerializeToString()
    return wire


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_grpcurl_line_names_what_there_is(document: Path) -> None:
    """S3: each grpcurl line has a method that there is, at its port, and every field of its request."""
    found = lines(document)
    assert found
    for line in found:
        request(line)
        assert (line.port == 50052) == line.method.startswith(OPERATORS), line
        assert line.protoset is None or (ROOT / line.protoset).exists() or (document.parent / line.protoset).exists()


async def test_every_grpcurl_line_of_the_operators_page_is_answered() -> None:
    """S3: from the first line of the page to the last, against the system that the local overlay makes."""
    async with system() as running:
        router = running.members["router"]
        (admin,) = router.events("admin_listening")
        at = {50051: router.address, 50052: f"127.0.0.1:{admin['grpc']}"}
        for line in lines(PAGE):
            # As -max-msg-sz does.
            options = [("grpc.max_receive_message_length", 67108864), ("grpc.enable_http_proxy", 0)]
            async with grpc.aio.insecure_channel(at[line.port], options=options) as channel:
                call = channel.unary_unary(f"/{line.method}")
                wire = await call(request(line), timeout=60)  # raises where it is not OK
            message_factory.GetMessageClass(METHODS[line.method].output_type).FromString(wire)
