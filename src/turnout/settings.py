"""What can be set from the environment: one table of name, default and sentence. Read where a process starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SETTINGS", "Setting", "home", "read"]


@dataclass(frozen=True)
class Setting:
    """One environment variable."""

    name: str
    default: str
    sentence: str


SETTINGS = (
    Setting("TURNOUT_HOME", ".turnout", "Folder of the embedded engine's state."),
    Setting("KUBECONFIG", "", "Kubernetes configuration; without it TURNOUT_HOME/kubeconfig, then the usual places."),
    Setting("TURNOUT_GATEWAY_URL", "", "Where the gateway answers; overrides what the ConfigMap turnout-config says."),
    Setting("TURNOUT_LEDGER_URL", "", "Where the ledger answers; overrides what the ConfigMap turnout-config says."),
    Setting(
        "TURNOUT_LEDGER_TOKEN_FILE", "", "File with the ledger's token; without it the Secret turnout-ledger is read."
    ),
    Setting("TURNOUT_LEDGER_DATABASE", "", "URL of the ledger's database, for its server; may hold a password."),
    Setting("TURNOUT_LEDGER_TOKENS", "", "File with more tokens of the ledger, for its server: `name roles sha256`."),
    Setting(
        "TURNOUT_LEDGER_KEEP_MONTHS",
        "0",
        "Months that the ledger's server keeps besides the present one; 0 keeps all for ever.",
    ),
    Setting("TURNOUT_MLFLOW_URI", "", "MLflow tracking URI; overrides what the ConfigMap turnout-config says."),
    Setting("TURNOUT_ARTIFACTS_URL", "", "Root of models and snapshots (file:// or s3://); overrides the ConfigMap."),
    Setting(
        "TURNOUT_KFP_URL", "", "Where Kubeflow Pipelines answers; overrides what the ConfigMap turnout-config says."
    ),
    Setting("TURNOUT_LOG_LEVEL", "INFO", "Level of the servers' logs: DEBUG, INFO, WARNING or ERROR."),
)

_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def read(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The value of one setting of the table.

    Raises:
        KeyError: the table has no such setting; a mistake in our code, not the user's.
    """
    return environment.get(name) or _DEFAULTS[name]


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """The embedded engine's folder, absolute."""
    return Path(read("TURNOUT_HOME", environment)).absolute()
