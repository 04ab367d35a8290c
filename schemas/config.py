"""The TOML configuration, key by key. Relations between keys are checked in ``tpsd.config``.

The descriptions are the settings table of the README and the JSON Schema: each names the unit and the reason.
A relative path is taken from the folder handed in as the validation context's ``folder``.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt
from pydantic.fields import FieldInfo

from schemas.values import (
    AMOUNT_MAX,
    BAUD_MIN,
    BAUD_USUAL,
    MINUTES_MAX,
    TIMEOUT_SECONDS_MAX,
    VERDICT_SECONDS_MIN,
    AbsolutePath,
    Baud,
    HttpUrl,
    KeyFile,
    LaneKind,
    Language,
    Line,
    Listen,
    MailAddress,
    PassBackSeconds,
    PathSegment,
    Port,
    Protocol,
    SmtpUrl,
    StaleList,
    StoreUrl,
    WireOverrides,
    Zone,
)


class Section(BaseModel):
    """One table of the file: unknown keys are refused, values never stand in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class Operator(Section):
    """Who runs the lanes, as Sfey knows them."""

    company_id: StrictInt = Field(ge=1, description="Sfey's organisation id; stands in every request")
    stock_location_id: StrictInt = Field(ge=1, description="Sfey's location id; must belong to the terminals (code 10)")
    currency: str = Field(
        default="978",
        pattern=r"^\d{3}$",
        description="ISO 4217 numeric, three digits; for taps that bring none",
    )
    language: Language = Field(default="en", description="two letters; the texts validators show")
    merchant: Line = Field(default="", description="the name on receipts")


class Sfey(Section):
    """Where TPS is and who we are to it."""

    base_url: HttpUrl = Field(description="device API, without its path; https except in test mode")
    afc_base_url: HttpUrl | None = Field(
        default=None, description="AFC API with its version; without it no enquiry is made"
    )
    ca_file: AbsolutePath | None = Field(
        default=None, description="PEM; the only roots trusted for TPS; default the system's"
    )
    client_cert_file: AbsolutePath | None = Field(
        default=None, description="PEM; the common terminal certificate, for lanes without their own"
    )
    client_key_file: AbsolutePath | None = Field(default=None, description="PEM; the key of `client_cert_file`")
    registration_root_file: AbsolutePath | None = Field(
        default=None, description="PEM; the roots of what registration gives terminals; default those of `ca_file`"
    )
    afc_token_file: KeyFile | None = Field(
        default=None, description="bearer token for the AFC API on one line; default only the common certificate"
    )
    timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=TIMEOUT_SECONDS_MAX,
        description="seconds for one whole exchange; after it the send is *unknown*",
    )
    profile: Literal["device-v1"] = Field(
        default="device-v1", description="the wire profile: paths and names that are our assumptions"
    )
    wire: WireOverrides = Field(
        default_factory=dict,
        description='single settings of the profile replaced, by name: `field.tag = "tag"`',
    )


class Store(Section):
    """Where the journal is."""

    url: StoreUrl = Field(
        description="`sqlite:///` and an absolute path on a local disk, never a network share;"
        " or `postgresql://role@host:port/database`, for any number of daemons"
    )
    daemon: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_-]{1,32}$",
        description="this daemon among those that share a database; keeps it for life; default: the machine's name",
    )
    password_file: KeyFile | None = Field(
        default=None, description="the database role's password on one line; default none is needed"
    )
    retention_days: StrictInt = Field(
        default=90,
        ge=7,
        le=400,
        description="running days a final tap stays whole (1 KB); then identity and verdict alone (110 bytes), to 400",
    )
    spool: AbsolutePath | None = Field(
        default=None,
        description="file on a local disk that takes taps while the database is away or slow, with"
        " `keys.epoch_dir` for its keys; default: a lost connection ends the daemon",
    )
    slow_ms: StrictInt = Field(
        default=200,
        ge=20,
        le=2000,
        description="milliseconds a tap waits for the database before it goes to the spool; a passenger has 500",
    )


class Keys(Section):
    """Keys and how long sealed card data may rest."""

    kek_file: KeyFile = Field(
        description="key-encryption key, 32 bytes as hex; opens the epoch keys, so never beside the journal"
    )
    epoch_dir: AbsolutePath = Field(
        description="folder of the wrapped epoch keys; never in the store's folder, which gets copied;"
        " a journal on PostgreSQL keeps them as rows, and its spool here"
    )
    token_key_file: KeyFile | None = Field(
        default=None,
        description="Sfey's SALT, 32 bytes as hex; makes card tokens; default validators' own tokens",
    )
    ttk_file: KeyFile | None = Field(
        default=None,
        description="key id as BCD digits, a space, 16 bytes as hex; encrypts clear card data (mode 01)",
    )
    exchange_key_file: KeyFile | None = Field(
        default=None,
        description="key-exchange key, 16, 24 or 32 bytes as hex; opens device keys of format AES; default: none",
    )
    use_fed: Literal["never", "without_file", "always"] = Field(
        default="without_file",
        description="when SALT and TTK that TPS gives a terminal are used by themselves: where the file of the kind is"
        " left out, always (files until they come), or never",
    )
    keep_failed_days: StrictInt = Field(
        default=7,
        ge=1,
        le=90,
        description="running days a permanently failed tap stays resendable; ask the acquirer",
    )
    keep_held_days: StrictInt = Field(
        default=30, ge=1, le=90, description="running days a held tap stays resendable; ask the acquirer"
    )


class LadderTier(Section):
    """One tier of the ladder."""

    tries: StrictInt = Field(ge=1, le=12, description="resends in this tier")
    every_minutes: float = Field(
        gt=0,
        le=MINUTES_MAX,
        description="minutes from the start of one send to the next; fractions in test mode only",
    )


def _sfey_ladder() -> tuple[LadderTier, ...]:
    return tuple(LadderTier(tries=3, every_minutes=minutes) for minutes in (1, 15, 60, 360))


class Retry(Section):
    """The ladder; the default is Sfey's."""

    tiers: tuple[LadderTier, ...] = Field(
        default_factory=_sfey_ladder,
        min_length=1,
        max_length=12,
        description="the ladder after the first send; at most 12 tries in all",
    )
    jitter: float = Field(
        default=0.1,
        ge=0,
        le=0.1,
        description="largest delay of a rung, a share of it and at most 5 min; spreads a returning fleet",
    )
    concurrency: StrictInt = Field(
        default=32,
        ge=1,
        le=256,
        description="sends in flight at once; TPS's capacity, not ours, is the limit",
    )
    realtime_share: float = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="share of `concurrency` that a drain leaves to realtime lanes; nothing where there are none",
    )
    hold_while_offline: StrictBool = Field(
        default=True,
        description="while TPS cannot be reached, taps wait and use no rung; false: each failed connection uses one",
    )
    hold_hours_max: float = Field(
        default=96.0,
        gt=0,
        le=8760,
        description="hours a tap may wait so from when it was made; then it uses its rungs; tenders ask for 96",
    )
    spread_seconds: StrictInt = Field(
        default=300,
        ge=0,
        le=3600,
        description="seconds over which first sends start after an outage: a fleet comes back at once; 0: no spread",
    )
    idempotency_horizon_hours: float = Field(
        default=36.0,
        gt=0,
        le=8760,
        description="hours TPS knows a UUID; an older tap that may have charged is never silently resent",
    )


class Email(Section):
    """Who is told when a tap could not be authorised."""

    smtp_url: SmtpUrl = Field(description="`smtp[s]://[user:password@]host[:port][?starttls=required|auto|never]`")
    sender: MailAddress = Field(description="the From address; keep it stable, or mails land in spam")
    recipients: tuple[MailAddress, ...] = Field(min_length=1, max_length=20, description="who gets the mails")


class Admin(Section):
    """The daemon's door for the command line."""

    socket: AbsolutePath = Field(
        default=Path("/run/tpsd/tpsd.sock"),
        description="unix socket of mode 0660; its group may look, nobody else",
    )
    listen: Listen | None = Field(
        default=None,
        description="`host:port` of `/healthz` and `/metrics`, plain HTTP; keep it on this machine or its own network",
    )


class Clock(Section):
    """When this machine's clock is believed."""

    floor: date = Field(
        default=date(2024, 1, 1),
        ge=date(2024, 1, 1),
        lt=date(2100, 1, 1),
        description="a clock that shows an earlier date was never set; the date of the installation is a good one",
    )


class Lane(Section):
    """One validator on one port."""

    name: str = Field(
        pattern=r"^[a-z0-9_-]{1,32}$", description="unique; the lane's name on rows, in mails and commands"
    )
    alias: Line = Field(default="", description="what people call it; empty: the name")
    port: Port = Field(description="serial device by its stable name, a pty, or `socket://host:port`")
    baud: Baud = Field(
        default=BAUD_USUAL,
        le=4_000_000,
        description=f"refused below {BAUD_MIN}, warned about below {BAUD_USUAL}: the wire's share of 500 ms",
    )
    protocol: Protocol = Field(
        default="vl1", description="what the validator speaks; `vivopay`: it is an ID TECH NEO 2 reader"
    )
    country: str | None = Field(
        default=None,
        pattern=r"^\d{3}$",
        description="ISO 3166 numeric, what a `vivopay` reader tells cards (9F1A); default what it is set to",
    )
    kind: LaneKind = Field(
        default="MTT",
        description="what taps are, and no other is let in; `RETAIL_CHECK_IN_OUT`: by the open journey",
    )
    timing: Literal["deferred", "realtime"] | None = Field(
        default=None,
        description="deferred: the verdict is local, TPS is asked afterwards; realtime: TPS's answer is the verdict; "
        "default by kind: MTT and KFT deferred, retail realtime",
    )
    verdict_seconds: float = Field(
        default=10.0,
        ge=VERDICT_SECONDS_MIN,
        le=TIMEOUT_SECONDS_MAX,
        description="seconds a passenger waits on a realtime lane; the send to TPS has one less; an older tap is stale",
    )
    fare: StrictInt | None = Field(
        default=None,
        ge=0,
        le=AMOUNT_MAX,
        description="minor units; for taps that bring no amount; default by the zones",
    )
    zone: Zone | None = Field(
        default=None, description="where the lane stands, as `[[zones]]` names it; a tap's own stop goes before"
    )
    amount_limit: StrictInt = Field(
        default=10_000,
        ge=0,
        le=AMOUNT_MAX,
        description="minor units; a tap above it is denied: a damaged or forged amount must not be charged",
    )
    zero_allowed: StrictBool = Field(
        default=True, description="whether amount 0 is taken; for MTT it is an ordinary first authentication"
    )
    terminal_sn: PathSegment | None = Field(
        default=None, description="Sfey's terminal serial number; default what the validator says"
    )
    terminal_type: PathSegment | None = Field(
        default=None, description="Sfey's terminal type name; default what the validator says, `NEO2` for `vivopay`"
    )
    client_cert_file: AbsolutePath | None = Field(
        default=None, description="PEM; this terminal's own certificate; default the common one"
    )
    client_key_file: AbsolutePath | None = Field(
        default=None, description="PEM; the key of the lane's `client_cert_file`"
    )
    language: Language | None = Field(default=None, description="two letters; default the operator's")
    pass_back_seconds: PassBackSeconds = Field(
        default=(0.0, 0.0),
        description="[x, y]: the same card up to x seconds later is the same tap again, up to y it is refused; off",
    )
    pass_back_group: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_-]{1,32}$",
        description="lanes of one name share their pass-back; default the lane alone",
    )
    group_size: StrictInt = Field(
        default=0, ge=0, le=20, description="so many more riders on one card within x seconds of pass-back"
    )
    partial: Literal["accept", "refuse"] = Field(
        default="refuse",
        description="a payment that TPS approves in part only: let in for it, or turned away and given back",
    )
    check_in_again: Literal["refuse", "close"] = Field(
        default="refuse",
        description="a check-in while the card's journey is open: refused, or that one is charged what it holds first",
    )
    tokens: Literal["ours", "validator", "none"] | None = Field(
        default=None,
        description="who makes card tokens; `none`: the reader encrypts and gives none; default `ours` with a "
        "token_key_file, or where TPS's keys are used",
    )
    untokenised: Literal["accept", "deny"] = Field(
        default="accept",
        description="a tap without a card token cannot be checked against the deny list: whether it is let in",
    )
    stale_list: StaleList = Field(
        default="accept",
        description="whom a deferred lane lets in once TPS's deny list is older than `feed.max_age_hours`: everybody, "
        "but for those it names, nobody (`deny`), or below an amount in minor units (`{ accept_below = 500 }`)",
    )


class Realtime(Section):
    """What becomes of realtime taps whose end nobody saw."""

    found_approved: Literal["tell", "refund"] = Field(
        default="tell",
        description="a tap found charged though its passenger was turned away: a mail, or given back at once",
    )
    journey_hours: float = Field(
        default=18.0,
        gt=0,
        le=240,
        description="hours a journey may stay open; then it expires unpaid and is mailed; longer than a service day",
    )


class Feed(Section):
    """The deny list as TPS's update feed gives it, beside what people import and enter."""

    enabled: StrictBool = Field(
        default=False,
        description="whether TPS is asked for its deny list; off until Sfey has said that your terminals may ask",
    )
    base_url: HttpUrl | None = Field(
        default=None, description="where updates are asked for, without the path; default `sfey.base_url`"
    )
    lane: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_-]{1,32}$",
        description="the lane whose terminal asks, one for the company; default the first that TPS does not refuse",
    )
    poll_minutes: float = Field(
        default=5.0,
        ge=0.1,
        le=60,
        description="minutes from one poll to the next, a tenth longer at most; a recovered card rides within an hour",
    )
    max_age_hours: float = Field(
        default=24.0,
        gt=0,
        le=8760,
        description="hours after which a list that TPS has not completed again is stale: then lanes go by "
        "`stale_list`, and one mail says so",
    )


class ZoneFare(Section):
    """One row of the zone table; it counts for the way back too, unless that has a row of its own."""

    start: Zone = Field(alias="from", description="the zone or stop of the check-in")
    end: Zone = Field(alias="to", description="the zone or stop of the check-out")
    amount: StrictInt = Field(
        ge=0, le=AMOUNT_MAX, description="minor units; a check-in holds the largest that can begin there"
    )


class Taplog(Section):
    """What came in and went out, without card data, for replay."""

    folder: AbsolutePath | None = Field(
        default=None,
        description="a folder that is there already, for one file a day and lane, no card data in it; default: no log",
    )
    keep_days: StrictInt = Field(
        default=30, ge=1, le=400, description="days a file stays; yesterday's taps are what engineers ask for"
    )
    megabytes_max: StrictInt = Field(
        default=1024,
        ge=16,
        le=1_000_000,
        description="the oldest files go first; about 3 KB a tap until its file is closed and compressed to a tenth",
    )


class Configuration(Section):
    """The whole file."""

    mode: Literal["test", "production"] = Field(
        description="test allows loopback hosts, http, fractions of minutes and clear card data"
    )
    operator: Operator
    sfey: Sfey
    store: Store
    keys: Keys
    retry: Retry = Field(default=Retry())
    email: Email
    admin: Admin = Field(default=Admin())
    clock: Clock = Field(default=Clock())
    realtime: Realtime = Field(default=Realtime())
    feed: Feed = Field(default=Feed())
    taplog: Taplog = Field(default=Taplog())
    zones: tuple[ZoneFare, ...] = Field(default=(), max_length=10_000, description="the fares of zones, if any")
    lanes: tuple[Lane, ...] = Field(
        default=(), max_length=256, description="any number; none: only what the journal holds is sent"
    )


def fields_of(model: type[Section]) -> dict[str, FieldInfo]:
    """A section's settings by the names they have in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def section_of(model: type[Section], key: str) -> type[Section] | None:
    """The section under ``key`` of ``model`` (of one element, where it is a list); None for a plain value."""
    field = fields_of(model).get(key)
    found: list[Any] = [] if field is None else [field.annotation]
    while found:
        candidate = found.pop()
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
        found.extend(getattr(candidate, "__args__", ()))
    return None
