"""The tables of the edge's database."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row, made with the tables: which database this is.
IDENTITY = Table("identity", METADATA, Column("id", String(32), primary_key=True))

# Every picture that was made for somebody. Its bytes are in the object store, under `sha256`.
PICTURES = Table(
    "pictures",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("project", String(128), nullable=False),
    Column("filename", String(64), nullable=False),
    # Milliseconds since the epoch.
    Column("created", BigInteger, nullable=False),
    Column("request_id", String(128), nullable=False),
    # Its place among the pictures of its request, from 0.
    Column("number", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("mime_type", String(32), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("seed", BigInteger),
    Column("prompt", String, nullable=False),
    # What was asked for besides, by the names of GenerateRequest, without any picture.
    Column("parameters", JSON, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("upstream_model", String, nullable=False),
    Column("attempts", JSON, nullable=False),
    Column("adjustments", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    # Credits of the whole request; unknown is NULL.
    Column("cost", Integer),
    Column("seconds", Float, nullable=False),
    Column("sandbox", Boolean, nullable=False),
    UniqueConstraint("owner", "filename"),
    Index(None, "owner", "created"),
    Index(None, "owner", "project", "created"),
    Index(None, "sha256"),
    Index(None, "created"),
)
