"""Where sic keeps things on a machine: the user's configuration and the user's weights.

The folders are those of the platform (`platformdirs`); nothing is made by asking for them.
"""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_config_path, user_data_path

NAME = "sic"


def config_file() -> Path:
    """The configuration that is read unless another one is named; it need not exist."""
    return user_config_path(NAME, appauthor=False) / "config.toml"


def models_folder() -> Path:
    """Where `sic models import` puts weights; it need not exist."""
    return user_data_path(NAME, appauthor=False) / "models"
