"""The user's own Kaggle credentials, which are sent to Kaggle only and never shown."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liverseg_tf.atomic import read_json
from liverseg_tf.errors import LiverSegError

SETTINGS_PAGE = "https://www.kaggle.com/settings"


@dataclass(frozen=True)
class Credentials:
    """Credentials for requests to Kaggle.

    Args:
        authorization: Value of the Authorization header. It is secret, hence not in the repr.
        exposed: File that holds the credentials, if other users of the machine can read it.
    """

    authorization: str = field(repr=False)
    exposed: Path | None = None


def read_credentials(environment: Mapping[str, str], home: Path) -> Credentials:
    """Read the credentials from the places that Kaggle's own tools use.

    In this order: the variable KAGGLE_API_TOKEN, the variables KAGGLE_USERNAME and KAGGLE_KEY, then
    the files access_token and kaggle.json in the folder KAGGLE_CONFIG_DIR, or else in ~/.kaggle and
    ~/.config/kaggle.

    Args:
        environment: Environment variables, usually `os.environ`.
        home: Home folder of the user.

    Raises:
        LiverSegError: If there are no credentials, or a file does not contain any.
    """
    if token := environment.get("KAGGLE_API_TOKEN"):
        return Credentials(_bearer(token, "KAGGLE_API_TOKEN"))
    user, key = environment.get("KAGGLE_USERNAME"), environment.get("KAGGLE_KEY")
    if user and key:
        return Credentials(_basic(user, key))
    chosen = environment.get("KAGGLE_CONFIG_DIR")
    for folder in [Path(chosen)] if chosen else [home / ".kaggle", home / ".config" / "kaggle"]:
        if (path := folder / "access_token").is_file():
            return Credentials(_bearer(_read(path), str(path)), _exposed(path))
        if (path := folder / "kaggle.json").is_file():
            return Credentials(_from_json(path), _exposed(path))
    raise LiverSegError(
        f"Expected Kaggle credentials in {home / '.kaggle' / 'kaggle.json'}, KAGGLE_API_TOKEN, or "
        f"KAGGLE_USERNAME and KAGGLE_KEY. Received no credentials (create a token on "
        f"{SETTINGS_PAGE})."
    )


def _from_json(path: Path) -> str:
    content = read_json(path)
    user, key = content.get("username"), content.get("key")
    if not (isinstance(user, str) and isinstance(key, str)):
        raise LiverSegError(f"Expected username and key in {path}. Received a file without them.")
    return _basic(user, key)


def _basic(user: str, key: str) -> str:
    secret = f"{user.strip()}:{key.strip()}".encode()
    return "Basic " + base64.b64encode(secret).decode("ascii")


def _bearer(token: str, where: str) -> str:
    token = token.strip()
    # checked here: the HTTP library's error would show the token
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise LiverSegError(
            f"Expected a Kaggle token (ASCII characters without spaces) in {where}. "
            "Received something else."
        )
    return f"Bearer {token}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise LiverSegError(f"Expected a Kaggle token in {path}. Received: {reason}.") from error


def _exposed(path: Path) -> Path | None:
    return path if os.name == "posix" and path.stat().st_mode & 0o077 else None
