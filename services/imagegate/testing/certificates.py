"""Certificates for tests, made when they are needed. Takes the package `cryptography`, which only tests have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOCAL_NAMES = ("localhost",)
LOCAL_ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as PEM."""

    cert: bytes
    key: bytes

    def write(self, folder: Path, name: str = "tls") -> tuple[Path, Path]:
        """Put them into `folder` as NAME.crt and NAME.key, over what is there."""
        folder.mkdir(parents=True, exist_ok=True)
        files = folder / f"{name}.crt", folder / f"{name}.key"
        for file, content in zip(files, (self.cert, self.key), strict=True):
            renew(file, content)
        return files


def renew(file: Path, content: bytes) -> None:
    """Put `content` in the place of a file, at once."""
    beside = file.with_name(f".{file.name}")
    beside.write_bytes(content)
    beside.rename(file)


class Authority:
    """Somebody who issues certificates."""

    def __init__(self, name: str = "an authority of a test") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        made = _builder(self._name, self._name, self._key.public_key(), datetime.now(UTC), timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def issue(
        self,
        name: str,
        *,
        dns: Sequence[str] = LOCAL_NAMES,
        uri: str = "",
        address: str = LOCAL_ADDRESS,
        expired: bool = False,
    ) -> Issued:
        """A certificate for `name`, with these alternative names, that holds for a day, or did until yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC) - timedelta(days=3 if expired else 0)
        names: list[x509.GeneralName] = [x509.DNSName(each) for each in dns]
        names += [x509.UniformResourceIdentifier(uri)] if uri else []
        names += [x509.IPAddress(ip_address(address))] if address else []
        made = _builder(_named(name), self._name, key.public_key(), now, timedelta(days=1))
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        cert = made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return Issued(cert, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, length: timedelta
) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    made = made.serial_number(x509.random_serial_number())
    return made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + length)
