"""What can go wrong with signing in: one class for each person who can mend it, by Entra's numbers.

Entra's own sentences name accounts and addresses, so only its number (AADSTS…) is passed on; whoever administers the
tenant can look it up (Microsoft identity platform docs, "Error codes").
"""

import re
from collections.abc import Mapping
from typing import Any

from bot.sources.base import SourceError
from storage.errors import mark


class SignInError(SourceError):
    """The root of what signing in raises. No text names an account: reports reach channels, and only admins see it."""

    code = "sign-in"
    consequence = mark("No profiles were read, and nothing was sent.")


class NotSignedIn(SignInError):
    code = "sign-in-nobody"
    what = mark("Nobody has signed in to read profiles, or the sign-in was removed.")
    remedy = mark("An admin can sign in: Change export user, in the connection's menu.")


class SignInAgain(SignInError):
    """The stored sign-in is not good any more: too old, revoked, or the password was changed."""

    code = "sign-in-again"
    what = mark("The sign-in of the export user has ended ({reason}).")
    remedy = mark(
        "The export user, or an admin in their place, has to sign in again: Change export user in the connection's "
        "menu."
    )


class MoreProofNeeded(SignInAgain):
    """Entra wants the person themselves: a second factor, a known device, new terms of use."""

    code = "sign-in-more-proof"
    what = mark("Entra wants the export user to prove more than a stored sign-in can ({reason}).")


class TenantUnknown(SignInError):
    code = "sign-in-tenant"
    what = mark("Entra ({authority}) knows no tenant {tenant}.")
    remedy = mark("Whoever runs Segment Ferry can correct the tenant's id, or the authority for a national cloud.")


class AppUnknown(SignInError):
    code = "sign-in-app"
    what = mark("The app registration {client_id} is not known in the tenant {tenant} ({reason}).")
    remedy = mark("Whoever runs Segment Ferry can correct the client id; an Entra admin can see the app registrations.")


class SecretRefused(SignInError):
    code = "sign-in-secret"
    what = mark("Entra does not accept the secret of the app {client_id} ({reason}).")
    remedy = mark("Check that it is the secret's value and not its id; an Entra admin can make a new one.")


class SecretExpired(SecretRefused):
    code = "sign-in-secret-expired"
    what = mark("The secret of the app {client_id} has expired ({reason}).")
    remedy = mark("An Entra admin can make a new one; whoever runs Segment Ferry has to enter its value.")


class CertificateRefused(SignInError):
    code = "sign-in-certificate"
    what = mark("Entra does not accept the certificate of the app {client_id} ({reason}).")
    remedy = mark("An Entra admin can see which certificates the app registration has, and until when they are good.")


class CertificateUnreadable(SignInError):
    code = "sign-in-certificate-file"
    what = mark("The certificate of the app {client_id} can't be used: {reason}.")
    remedy = mark("It is a PEM file with the private key and the certificate; whoever runs Segment Ferry can mend it.")


class ConsentMissing(SignInError):
    code = "sign-in-consent"
    what = mark("Nobody has allowed the app {client_id} to read Dataverse in people's names ({reason}).")
    remedy = mark(
        "An Entra admin can grant it: App registrations > API permissions > Dynamics CRM, user_impersonation, Grant "
        "admin consent. Then sign in again."
    )


class PublicFlowOff(SignInError):
    code = "sign-in-public-flow"
    what = mark("The app {client_id} does not allow signing in with a code ({reason}).")
    remedy = mark("An Entra admin can switch on Allow public client flows (App registrations > Authentication).")


class EnvironmentUnknown(SignInError):
    code = "sign-in-environment"
    what = mark("The tenant {tenant} knows no environment {environment} ({reason}).")
    remedy = mark(
        "Whoever runs Segment Ferry can correct the environment's address or the tenant's id; a Power Platform admin "
        "knows both."
    )


class SignInRefused(SignInError):
    code = "sign-in-refused"
    what = mark("Entra refused the sign-in ({reason}).")
    remedy = mark("An Entra admin can find the reason by this number, and in the tenant's sign-in logs.")


class SignInUnavailable(SignInError):
    code = "sign-in-unavailable"
    what = mark("Entra ({authority}) can't be reached ({reason}).")
    remedy = mark("Check the network and https://status.entra.microsoft.com, then run again.")


_BY_NUMBER: Mapping[int, type[SignInError]] = {
    65001: ConsentMissing,
    65004: ConsentMissing,
    90094: ConsentMissing,
    50076: MoreProofNeeded,
    50079: MoreProofNeeded,
    50072: MoreProofNeeded,
    50158: MoreProofNeeded,
    53000: MoreProofNeeded,
    53001: MoreProofNeeded,
    53003: MoreProofNeeded,
    90002: TenantUnknown,
    900023: TenantUnknown,
    700016: AppUnknown,
    7000215: SecretRefused,
    7000222: SecretExpired,
    700027: CertificateRefused,
    7000218: PublicFlowOff,
    700025: PublicFlowOff,
    500011: EnvironmentUnknown,
    500014: EnvironmentUnknown,
    650057: EnvironmentUnknown,
}

_BY_ERROR: Mapping[str, type[SignInError]] = {
    "invalid_grant": SignInAgain,
    "interaction_required": MoreProofNeeded,
    "invalid_resource": EnvironmentUnknown,
    "consent_required": ConsentMissing,
}


def refusal(answer: Mapping[str, Any], **facts: str) -> SignInError:
    """The error behind an answer that MSAL gives in place of tokens. `facts` fill in the texts."""
    number = _number(answer)
    error = str(answer.get("error") or "no reason given")
    kind = _BY_NUMBER.get(number) or _BY_ERROR.get(error, SignInRefused)
    return kind(reason=f"AADSTS{number}" if number else error, **facts)


def _number(answer: Mapping[str, Any]) -> int:
    """Entra's own number of the error; 0 if there is none."""
    codes = answer.get("error_codes")
    if isinstance(codes, list) and codes and isinstance(codes[0], int):
        return codes[0]
    match = re.search(r"AADSTS(\d+)", str(answer.get("error_description", "")))
    return int(match[1]) if match else 0
