"""Mails, word for word."""

import re
from dataclasses import replace

import pytest
from jinja2 import UndefinedError
from typer.main import get_command

from tpsd.cli import app
from tpsd.core.notices import close_window, open_episode, total, totals
from tpsd.core.texts import load
from tpsd.domain.notice import Episode, MailDraft, NoticeKind, NoticeRow
from tpsd.domain.time import MINUTE, Micros
from tpsd.mail import render

EN = load("en")
NOW = Micros(1_790_000_060_000_000)
UUID = "7f3c0e0a-1111-4222-8333-444455556666"
ROW = NoticeRow(
    id=1,
    kind=NoticeKind.PERMANENTLY_FAILED,
    cause="permanently_failed/timeout",
    detail="send 13 was the ladder's last; it may have been charged",
    created_at=Micros(NOW - MINUTE),
    tap=7,
    tap_id="VAL00042:3:17",
    uuid=UUID,
    lane="gate-1",
    tapped_at=Micros(1_790_000_000_123_456),
    amount=250,
    currency="978",
    masked="476173******0119",
    attempts=13,
    last_cause="timeout",
    may_have_charged=True,
    state="permanently_failed",
)

ONE_FAILED = """\
1 tap permanently failed

Cause: permanently_failed/timeout
  TPS did not answer in time although the request may have reached it; check
  TPS and the uplink.

Every send of the ladder failed. tpsd sends these transactions no more and
keeps them until somebody sends them again or closes them.

1. 7f3c0e0a-1111-4222-8333-444455556666
   lane            gate-1
   tapped          2026-09-21 14:13:20 UTC
   amount          2.50 978
   card            476173******0119
   attempts        13
   last answer     timeout: TPS did not answer in time although the request
                   may have reached it; check TPS and the uplink.
   charged         it may have been charged
   note            send 13 was the ladder's last; it may have been charged

Total: 1 row, 2.50 978

To go on:
  tpsd show 7f3c0e0a-1111-4222-8333-444455556666
  tpsd resend 7f3c0e0a-1111-4222-8333-444455556666
"""

ALL_CLEAR = """\
All clear: nothing more for 60 minutes.

Cause: permanently_failed/timeout

While it lasted: 3 taps permanently failed, 7.50 978 in all, told of in 2 mails.
The all-clear says only that no more came; what was listed stays as it is until somebody sees to it.

To go on:
  tpsd taps --state permanently_failed
  tpsd resend --cause timeout
"""


def mail(*rows: NoticeRow, episode: Episode | None = None) -> MailDraft:
    opened = episode or open_episode(rows[0], Micros(NOW - MINUTE))
    return render.window_mail("journal-1", opened, rows, total(rows), now=NOW, catalogue=EN)


def test_one_failed_tap_word_for_word() -> None:
    made = mail(ROW)
    assert made.text == ONE_FAILED
    assert made.subject == "[tpsd] 1 tap permanently failed: timeout"
    assert made.created_at == NOW


def test_the_all_clear_word_for_word() -> None:
    first = close_window(open_episode(ROW, NOW), [ROW], NOW)
    assert first.next_episode is not None
    second = close_window(first.next_episode, [ROW, ROW], NOW)
    assert second.next_episode is not None
    made = render.all_clear_mail("journal-1", second.next_episode, now=NOW, currency="978")
    assert made.text == ALL_CLEAR
    assert made.subject == "[tpsd] all clear after 3 taps permanently failed: timeout"


def test_the_same_notices_give_the_same_mail() -> None:
    assert mail(ROW, ROW) == mail(ROW, ROW)


def test_several_rows_end_with_the_list_command() -> None:
    made = mail(ROW, replace(ROW, uuid="00000000-0000-4000-8000-000000000000", may_have_charged=False))
    assert made.subject.startswith("[tpsd] 2 taps permanently failed")
    assert "\n2. 00000000-0000-4000-8000-000000000000\n" in made.text
    assert "   charged         no\n" in made.text
    assert made.text.endswith(
        f"To go on:\n  tpsd show {UUID}\n  tpsd taps --state permanently_failed\n  tpsd resend --cause timeout\n"
    )


def test_fifty_rows_are_listed_and_the_rest_only_totalled() -> None:
    opened = open_episode(ROW, NOW)
    made = render.window_mail("j", opened, (ROW,) * 60, totals(60, {"978": 15_000, "752": 5}), now=NOW, catalogue=EN)
    assert made.text.count(UUID) == 50 + 1
    assert "… and 10 more that this mail does not list." in made.text
    assert "Total: 60 rows, 0.05 752, 150.00 978\n" in made.text


def test_a_later_mail_of_an_episode_says_so() -> None:
    follower = close_window(open_episode(ROW, NOW), [ROW], NOW).next_episode
    made = mail(ROW, episode=follower)
    assert made.subject == "[tpsd] 1 tap permanently failed, again: timeout"
    assert "Earlier mails about this cause listed 1.\n" in made.text


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_kind_has_a_mail(kind: NoticeKind) -> None:
    made = mail(replace(ROW, kind=kind, cause=f"{kind.value}/system.41@GATE-X1:VAL00042", state=kind.value))
    assert made.subject.endswith(": system.41@GATE-X1:VAL00042")
    assert re.sub(r"\s+", " ", EN.operator("system.41")) in re.sub(r"\s+", " ", made.text)
    assert f"\n  tpsd show {UUID}\n" in made.text


def test_a_held_cause_names_the_list_and_its_release() -> None:
    held = replace(ROW, kind=NoticeKind.HELD, cause="held/system.41@GATE-X1:VAL00042", state="held")
    assert mail(held).text.endswith(
        f"  tpsd show {UUID}\n  tpsd held\n  tpsd release --cause system.41@GATE-X1:VAL00042\n"
    )


def test_a_doubt_names_its_list_and_how_to_end_it() -> None:
    text = mail(replace(ROW, kind=NoticeKind.IN_DOUBT, cause="in_doubt/system.60", state="in_doubt")).text
    assert text.endswith("  tpsd in-doubt\n")
    assert "'tpsd resolve'" in text


def test_only_commands_that_exist_are_printed() -> None:
    known = {command.name: command for command in get_command(app).commands.values()}  # type: ignore[attr-defined]
    for kind in NoticeKind:
        row = replace(ROW, kind=kind, cause=f"{kind.value}/timeout")
        for rows in ((row,), (row, row), (replace(row, uuid=None, tap=None),)):
            for line in mail(*rows).text.partition("To go on:\n")[2].splitlines():
                tpsd, name, *arguments = line.split()
                assert tpsd == "tpsd"
                known[name].make_context(name, arguments)


def test_a_row_without_a_tap_or_an_answer_is_told_in_words() -> None:
    bare = replace(
        ROW,
        tap=None,
        tap_id=None,
        uuid=None,
        lane=None,
        tapped_at=None,
        amount=None,
        masked=None,
        attempts=0,
        last_cause=None,
        detail="",
        may_have_charged=False,
    )
    text = mail(bare).text
    assert "1. a tap that could not be read\n   lane            not known\n   tapped          not known\n" in text
    assert "card            not readable here\n" in text
    assert "last answer     none, nothing was sent\n" in text
    assert "note" not in text
    assert "Total: 1 row\n" in text
    assert text.endswith("  tpsd taps --state permanently_failed\n  tpsd resend --cause timeout\n")


def test_a_tap_without_a_uuid_is_shown_by_its_number() -> None:
    assert mail(replace(ROW, uuid=None)).text.endswith("  tpsd show 7\n  tpsd resend --cause timeout\n")


@pytest.mark.parametrize("leak", ["4761739001010119", "476173000000119", "4761739001010119 ", "473******9", "x"])
def test_a_card_that_does_not_look_masked_is_not_printed(leak: str) -> None:
    text = mail(replace(ROW, masked=leak)).text
    assert "card            ****\n" in text
    assert leak.strip() not in text.replace("next", "")


def test_a_card_as_an_encrypting_reader_masked_it_is_printed() -> None:
    assert "card            5413********1513\n" in mail(replace(ROW, masked="5413********1513")).text


def test_control_characters_cannot_add_lines_or_hide() -> None:
    row = replace(ROW, lane="gate\r\nBcc: x\x1b[2J\u202e\u2028", detail="a\x00b")
    text = mail(row).text
    assert "lane            gate??Bcc: x?[2J??\n" in text
    assert "note            a?b\n" in text
    assert len(mail(replace(ROW, detail="x" * 10_000)).text) < 2_000


def test_lines_of_words_keep_their_width() -> None:
    for key in EN.texts:
        text = mail(replace(ROW, cause=f"held/{key}", kind=NoticeKind.HELD, last_cause=key)).text
        assert max(map(len, text.splitlines())) <= 78


def test_message_ids_are_stable_and_differ() -> None:
    base = render.message_id("j", "held/x", NOW, 0)
    assert base == render.message_id("j", "held/x", NOW, 0)
    assert re.fullmatch(r"<[0-9a-f]{32}@tpsd-[0-9a-f]{8}\.internal>", base)
    others = [
        render.message_id("k", "held/x", NOW, 0),
        render.message_id("j", "in_doubt/x", NOW, 0),
        render.message_id("j", "held/x", Micros(NOW + 1), 0),
        render.message_id("j", "held/x", NOW, 1),
    ]
    assert len({base, *others}) == 5
    assert mail(ROW).message_id == render.message_id("journal-1", ROW.cause, Micros(NOW - MINUTE), 0)


def test_a_template_that_asks_for_what_is_not_there_fails() -> None:
    template = render.TEMPLATES.from_string("{{ nothing }}")
    with pytest.raises(UndefinedError):
        template.render()
