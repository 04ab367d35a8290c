"""TLS contexts that can judge a certificate's dates by another clock than the system's (design 7).

OpenSSL knows the system's clock only, and to a machine that booted in 1970 no certificate is valid yet. It is then
told to look at chain and name alone, and the dates of the server's own certificate are judged here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from tpsd.core.trust import Dates, Judging
from tpsd.domain.time import SECOND, Micros

NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python gives no name."""

Judge = Callable[[], Judging]
"""By which clock certificates are judged now."""


def by_the_system() -> Judging:
    """A judge that leaves the dates to OpenSSL."""
    return Judging(Dates.SYSTEM, Micros(0))


class DatedContext(ssl.SSLContext):
    """A client's context whose ``judge`` is asked at every connection.

    ``undated``: while nobody knows the time, connections are made without a look at the dates; who makes them must
    send nothing over them that matters. Otherwise OpenSSL judges by the system's clock, right or wrong.
    """

    judge: Judge = staticmethod(by_the_system)
    undated = False

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """One more connection; the flags are those of its own."""
        dates = self.judge().dates
        relaxed = dates is Dates.OWN or (dates is Dates.NOBODY and self.undated)
        flags = int(self.verify_flags) & ~NO_CHECK_TIME
        self.verify_flags = ssl.VerifyFlags(flags | NO_CHECK_TIME if relaxed else flags)
        made = super().wrap_bio(*args, **kwargs)
        if isinstance(made, _DatedConnection):
            made.judge = self.judge if relaxed else None
        return made


class _DatedConnection(ssl.SSLObject):
    judge: Judge | None = None

    def do_handshake(self) -> None:
        super().do_handshake()
        if self.judge is not None:
            check_dates(self.getpeercert() or {}, self.judge())


DatedContext.sslobject_class = _DatedConnection


def check_dates(certificate: Mapping[str, Any], judging: Judging) -> None:
    """Raises SSLCertVerificationError for a certificate (as ``getpeercert`` gives it) that is not valid now."""
    if judging.dates is Dates.NOBODY:
        return
    now = judging.at / SECOND
    try:
        begins, ends = (ssl.cert_time_to_seconds(certificate[name]) for name in ("notBefore", "notAfter"))
    except (KeyError, ValueError) as exc:
        raise ssl.SSLCertVerificationError("the server's certificate has no dates that can be read") from exc
    if now < begins:
        raise ssl.SSLCertVerificationError("the server's certificate is not valid yet, by the time that TPS says")
    if now > ends:
        raise ssl.SSLCertVerificationError("the server's certificate has expired, by the time that TPS says")
