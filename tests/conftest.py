"""What all tests share: no card number may be in a log, and property tests do not depend on chance or on load."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.log_guard",)

settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("steady")
