"""What all tests share: no card number may be in a log."""

from __future__ import annotations

pytest_plugins = ("tests.log_guard",)
