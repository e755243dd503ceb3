"""The Ray glue: the only code of the project that imports Ray.

`connect` finds or starts a cluster, `launch` runs one training on it, `search` runs many. None of them knows
what is trained. Ray reads its switches from the environment when it is imported, so they are set here, before
any module of the package can import it; a user's own values win.
"""

import os
import sys
from pathlib import Path

SWITCHES = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # or `uv run` makes Ray zip the working folder for every worker
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent home, and no notice says so
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's coming default, which spares its FutureWarning
    "RAY_enable_metrics_collection": "0",  # without a dashboard its exporters only log that nobody listens
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what its nodes print into a driver, of lost ones: we say what that means
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",  # they override the levels that we set,
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",  # and print every report
    "RAY_COLOR_PREFIX": "0",  # no escape sequences in a log
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine prints a table even with verbose=0
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the error that ends a search is raised, once
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our journal of the trials takes their place
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_GLOBAL_CHECKPOINT_S": "2",  # seconds between two snapshots of a search
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # for a stopped trial to leave its process to the next
}

for _name, _value in SWITCHES.items():
    os.environ.setdefault(_name, _value)

# `ray start` makes a token and asks for it; whoever has one must tell Ray to send it. Ray's two halves would
# disagree about it if Ray were imported already.
_token = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or (Path.home() / ".ray/auth_token").exists()
if _token and "ray" not in sys.modules:
    os.environ.setdefault("RAY_AUTH_MODE", "token")
