"""Paths of the wire profile as the other end meets them."""

from __future__ import annotations

import re


def pattern(template: str) -> re.Pattern[str]:
    """A path template as a pattern with one group a placeholder; a segment holds no slash."""
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
