"""Prefect's defaults for VoiceFlow. Prefect reads the environment once, when it is imported, so this comes first.

Whatever the user has set stays. Nothing is sent to Prefect's makers; the embedded server gets the time it needs on a
slow machine (17 s were measured on two cores); the terminal shows VoiceFlow's own progress and Prefect's warnings,
while a server still receives every log line.
"""

import os

PREFECT_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
}

for _name, _value in PREFECT_DEFAULTS.items():
    os.environ.setdefault(_name, _value)
