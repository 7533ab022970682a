"""One form for all errors about settings."""


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """
    Check a setting.

    Args:
        condition (`bool`): Whether the value is allowed.
        name (`str`): The setting.
        value: The value that was given.
        allowed (`str`): What the setting must be, to follow "must be" in the error.

    Raises:
        ValueError: If `condition` is false.
    """
    if not condition:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
