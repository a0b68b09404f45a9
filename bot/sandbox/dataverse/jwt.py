"""JSON Web Tokens, as far as a token service needs them."""

import base64
import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


def make_jwt(claims: Mapping[str, Any]) -> str:
    """A token of the usual form. Its signature is noise: nobody but the issuer can check these tokens anyway."""
    header = {"typ": "JWT", "alg": "RS256", "kid": "sandbox"}
    parts = [orjson.dumps(header), orjson.dumps(claims), secrets.token_bytes(256)]
    return ".".join(map(base64url, parts))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parse_jwt(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what was signed, and the signature. Raises `ValueError` for anything that is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no JWT")
    header, claims, signature = (base64.urlsafe_b64decode(part.encode() + b"==") for part in parts)
    parsed = orjson.loads(header), orjson.loads(claims)
    if not all(isinstance(part, dict) for part in parsed):
        raise ValueError("no JWT")
    return *parsed, token.rpartition(".")[0].encode(), signature


def verify(key: RSAPublicKey, algorithm: str, signed: bytes, signature: bytes) -> None:
    """Raise `InvalidSignature`, or `ValueError` for an algorithm that Entra doesn't take."""
    match algorithm:
        case "RS256":
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        case "PS256":
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            key.verify(signature, signed, pss, hashes.SHA256())
        case _:
            raise ValueError(f"algorithm {algorithm}")
