"""Certificates and keys in files, taken anew when they change."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imagegate.runtime.certificate import expiry_of
from imagegate.runtime.settings import ProcessSettings, SettingsError
from imagegate.runtime.tls_files import TlsFiles, TlsPaths
from imagegate.testing.certificates import Authority, Issued, renew


@pytest.fixture
def authority() -> Authority:
    return Authority()


def paths(folder: Path, authority: Authority, issued: Issued) -> TlsPaths:
    cert, key = issued.write(folder)
    (folder / "ca.crt").write_bytes(authority.pem)
    return TlsPaths(cert, key, folder / "ca.crt")


def test_what_is_renewed_is_taken_and_what_is_not_is_not_read(tmp_path: Path, authority: Authority) -> None:
    """A renewed certificate is in use from the next look on; without a change there is no new revision."""
    first, second = authority.issue("a"), authority.issue("a")
    files = TlsFiles(paths(tmp_path, authority, first))
    assert files.current() == files.current()
    second.write(tmp_path)
    revision, material = files.current()
    assert (revision, material.cert, material.key) == (1, second.cert, second.key)
    assert files.current()[0] == 1


def test_unchanged_files_are_not_opened_again(tmp_path: Path, authority: Authority) -> None:
    """Each connection looks at the files, so that costs no reading: what changes without a trace is not seen."""
    where = paths(tmp_path, authority, authority.issue("a"))
    files = TlsFiles(where)
    cert, stat = where.named[0], where.named[0].stat()
    cert.write_bytes(b"x" * stat.st_size)
    os.utime(cert, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert files.is_current


@pytest.mark.parametrize("broken", ["half a pair", "half a file", "no file", "nothing", "no PEM", "another authority"])
def test_what_cannot_be_used_keeps_what_was_there(tmp_path: Path, authority: Authority, broken: str) -> None:
    """A half-written pair keeps the old one, is told once, and is taken when it is whole."""
    first, second = authority.issue("a"), authority.issue("a")
    where = paths(tmp_path, authority, first)
    files = TlsFiles(where)
    cert, _, ca = where.named
    match broken:
        case "half a pair":
            renew(cert, second.cert)
        case "half a file":
            renew(cert, first.cert[:200])
        case "no file":
            cert.unlink()
        case "nothing":
            renew(ca, b"")
        case "no PEM":
            renew(ca, b"\xff\xfe")
        case _:
            renew(ca, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with capture_logs() as lines:
        for _ in range(3):
            assert files.current()[1].cert == first.cert
    assert not files.is_current
    assert [line["event"] for line in lines] == ["tls_not_reloaded"]
    assert b"PRIVATE" not in str(lines).encode()
    second.write(tmp_path)
    renew(ca, authority.pem)
    assert files.current()[1].cert == second.cert
    assert files.is_current


def test_what_cannot_be_used_to_begin_with_is_refused(tmp_path: Path, authority: Authority) -> None:
    """A process does not start in the clear because its files are wrong."""
    cert, key = authority.issue("a").write(tmp_path)
    for wrong in (TlsPaths(cert, tmp_path / "none"), TlsPaths(key, cert), TlsPaths(ca=key)):
        with pytest.raises(SettingsError):
            TlsFiles(wrong)
    with pytest.raises(SettingsError):
        TlsPaths(cert)


@pytest.mark.parametrize(
    "variables",
    [
        {"IMAGEGATE_TLS_CERT_FILE": "/c"},
        {"IMAGEGATE_TLS_KEY_FILE": "/k"},
        {"IMAGEGATE_TLS_CLIENT_CA_FILE": "/ca"},
    ],
)
def test_half_a_setting_is_refused(variables: dict[str, str]) -> None:
    """Nobody who asked for TLS gets a port in the clear."""
    with pytest.raises(SettingsError, match="TLS_CERT_FILE"):
        ProcessSettings.read(variables, "IMAGEGATE_")


def test_when_a_certificate_expires_is_known(authority: Authority) -> None:
    """The gauge warns before it does; what is no certificate says nothing."""
    from cryptography import x509

    issued = authority.issue("a")
    expected = x509.load_pem_x509_certificate(issued.cert).not_valid_after_utc.timestamp()
    assert expiry_of(issued.cert + authority.pem) == expected
    for nothing in (b"", b"x", issued.key, issued.cert[:90] + b"\n-----END CERTIFICATE-----"):
        assert expiry_of(nothing) is None
