"""Objects with preconditions behind one small Protocol; `open_store` picks the place from a URL."""

import re

from voiceflow_model.errors import INSTALL_TRAIN, ConfigError
from voiceflow_model.store.protocol import ABSENT, Blob, ObjectInfo, Store

__all__ = ["ABSENT", "Blob", "ObjectInfo", "Store", "open_store"]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://(.*)", re.DOTALL)


def open_store(url: str) -> Store:
    """The store at `gs://bucket/prefix`, `file:///folder`, `memory://name` or a plain path of a folder.

    Nothing is contacted or created yet, except that gs:// looks for credentials. Raises ConfigError.
    """
    match = _SCHEME.fullmatch(url)
    scheme, rest = (match[1].lower(), match[2]) if match else ("file", url)
    if scheme == "file" and url and not (match and not rest.startswith("/")):
        from voiceflow_model.store.local import LocalStore

        return LocalStore(rest)
    if scheme == "memory" and rest:
        from voiceflow_model.store.memory import MemoryStore

        return MemoryStore(rest)
    if scheme == "gs" and rest.strip("/"):
        try:
            from voiceflow_model.store.gcs import GcsStore
        except ImportError as error:
            raise ConfigError(f"{url} needs google-cloud-storage: {INSTALL_TRAIN} ({error})") from error
        bucket, _, prefix = rest.partition("/")
        return GcsStore(bucket, prefix)
    raise ConfigError(
        f"{url!r} names no store; write gs://bucket/prefix, file:///folder, memory://name or the path of a folder"
    )
