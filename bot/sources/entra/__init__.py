"""Who reads Customer Insights: signing in with Entra ID, as a person or as an app, through MSAL.

`UserIdentity` is the export user, who signs in once with a code on a page of Microsoft's (`DeviceSignIn`); the tokens
are kept by a `TokenStore` and renewed for as long as Entra allows. `AppIdentity` is an app with a secret or a
certificate. Both are what the Dataverse source calls a token provider.
"""

from bot.sources.entra.app import AppCertificate, AppIdentity, AppSecret
from bot.sources.entra.device import DeviceSignIn, SignInState
from bot.sources.entra.msal_calls import PUBLIC_CLOUD, Registration
from bot.sources.entra.user import Account, SignInStatus, TokenStore, UserIdentity, sign_in_status

__all__ = [
    "PUBLIC_CLOUD",
    "Account",
    "AppCertificate",
    "AppIdentity",
    "AppSecret",
    "DeviceSignIn",
    "Registration",
    "SignInState",
    "SignInStatus",
    "TokenStore",
    "UserIdentity",
    "sign_in_status",
]
