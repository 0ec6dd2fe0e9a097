"""Which object paths every store accepts, so that a path means the same in a bucket, a folder and RAM."""

from voiceflow_model.errors import ConfigError


def checked(path: str) -> str:
    """The path itself, or ConfigError when it could leave the store or hit what a store keeps for itself.

    Names that start with a dot are the local store's lock and temporary files, and "." and "..".
    """
    parts = path.split("/")
    if any(not part or part.startswith(".") or "\\" in part or not part.isprintable() for part in parts):
        raise ConfigError(
            f"object path {path!r} is refused: parts between '/' must be printable, not empty, without backslash "
            "and must not start with '.'"
        )
    return path


def checked_prefix(prefix: str) -> str:
    """The same for the beginning of a path; the empty prefix and a final "/" are fine."""
    if prefix:
        checked(prefix.removesuffix("/"))
    return prefix
