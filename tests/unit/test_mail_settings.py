"""The mail server's URL: what it means and what it refuses."""

import pytest

from tpsd.errors import ConfigError
from tpsd.mail.settings import SmtpConfig, StartTls

OPS = ("ops@example.com",)


def config(url: str) -> SmtpConfig:
    return SmtpConfig.from_url(url, "tpsd@example.com", OPS)


@pytest.mark.parametrize(
    ("url", "port", "implicit", "start_tls"),
    [
        ("smtp://mail.example.com", 25, False, StartTls.AUTO),
        ("smtp://mail.example.com:2525/", 2525, False, StartTls.AUTO),
        ("smtp://user:pass@mail.example.com", 587, False, StartTls.REQUIRED),
        ("smtp://user:pass@127.0.0.1:25", 25, False, StartTls.AUTO),
        ("smtp://mail.example.com?starttls=required", 25, False, StartTls.REQUIRED),
        ("smtp://mail.example.com?starttls=never", 25, False, StartTls.NEVER),
        ("smtps://user:pass@mail.example.com", 465, True, StartTls.AUTO),
        ("smtp://[::1]:2525", 2525, False, StartTls.AUTO),
    ],
)
def test_ports_and_tls_by_default(url: str, port: int, implicit: bool, start_tls: StartTls) -> None:
    found = config(url)
    assert (found.port, found.implicit_tls, found.start_tls) == (port, implicit, start_tls)


def test_user_and_password_are_unquoted_and_hidden() -> None:
    found = config("smtps://ops%40example.com:p%3Aw%2F1@mail.example.com")
    assert found.username == "ops@example.com"
    assert found.password is not None
    assert found.password.reveal() == "p:w/1"
    assert "p:w/1" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com/folder",
        "smtp://mail.example.com?tls=1",
        "smtp://mail.example.com?starttls=maybe",
        "smtp://mail.example.com?starttls=auto&starttls=never",
        "smtps://mail.example.com?starttls=required",
        "smtp://user:hunter2@mail.example.com?starttls=auto",
        "smtp://user:hunter2@mail.example.com?starttls=never",
        "smtp://user:hunter2@mail.example.com:99999",
    ],
)
def test_a_wrong_url_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"email\.smtp_url") as caught:
        config(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "ops", "@example.com", "ops@", "Ops <ops@example.com>", "ö@example.com", "a@b\r\n"]
)
def test_addresses_are_bare_and_ascii(address: str) -> None:
    with pytest.raises(ConfigError, match="bare ASCII address"):
        SmtpConfig.from_url("smtp://localhost", "tpsd@example.com", (address,))
    with pytest.raises(ConfigError, match="bare ASCII address"):
        SmtpConfig.from_url("smtp://localhost", address, OPS)


def test_somebody_must_hear() -> None:
    with pytest.raises(ConfigError, match="recipients is empty"):
        SmtpConfig.from_url("smtp://localhost", "tpsd@example.com", ())
