"""The user's own Kaggle credentials, which are read, sent to Kaggle and shown to nobody."""

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
    """What Kaggle asks for.

    Args:
        authorization: the HTTP header's value; a secret, hence not in the repr.
        exposed: the file it is from, when other users of the machine may read it.
    """

    authorization: str = field(repr=False)
    exposed: Path | None = None


def read_credentials(environment: Mapping[str, str], home: Path) -> Credentials:
    """Find the credentials where Kaggle's own tools look for them.

    In this order: KAGGLE_API_TOKEN, KAGGLE_USERNAME with KAGGLE_KEY, then the files access_token
    and kaggle.json in KAGGLE_CONFIG_DIR or in ~/.kaggle and ~/.config/kaggle.

    Args:
        environment: usually `os.environ`.
        home: the user's home folder.

    Raises:
        LiverSegError: when there are none, or a file doesn't hold any.
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
        f"KAGGLE_USERNAME and KAGGLE_KEY. Received none (create a token on {SETTINGS_PAGE})."
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
    # the HTTP library would print a header that it refuses
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise LiverSegError(f"Expected a Kaggle token in {where}. Received something else.")
    return f"Bearer {token}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise LiverSegError(f"Expected a Kaggle token in {path}. Received: {reason}.") from error


def _exposed(path: Path) -> Path | None:
    return path if os.name == "posix" and path.stat().st_mode & 0o077 else None
