"""The terminal, the columns and the Markdown in a real browser, in a small app of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.timeout(300)


def run_stream(page: Page, session: str, rate: int, total: int) -> None:
    for name, value in (("session", session), ("rate", rate), ("total", total)):
        page.fill(f"input[name={name}]", str(value))
    page.click("#run")


def has_reached(page: Page, seq: int) -> None:
    expect(page.locator(".vt-host")).to_have_attribute("data-last-seq", str(seq), timeout=60_000)


def saved_text(page: Page) -> list[str]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as text").click()
    return Path(download.value.path()).read_text().splitlines()


def test_every_line_shows_once_and_in_order_also_after_a_lost_batch(visit: Callable[..., Page]):
    page = visit("/stream/")
    run_stream(page, "lines", 400, 400)
    page.click("#lose")
    has_reached(page, 401)
    numbers = [int(found[1]) for line in saved_text(page) if (found := re.match(r"[\d:]{8} L(\d+) ", line))]
    assert numbers == [n for n in range(1, 401) if n % 40 != 1 and n % 97]
    assert page.inner_text("#gaps").count("lines:") == 2


def test_what_came_before_is_there_after_a_reload_and_another_session_starts_anew(
    visit: Callable[..., Page],
):
    page = visit("/stream/")
    run_stream(page, "s1", 0, 50)
    has_reached(page, 51)
    page.reload()
    has_reached(page, 51)
    page.click("#other")
    has_reached(page, 0)


def test_a_lost_connection_continues_by_itself(visit: Callable[..., Page]):
    page = visit("/stream/")
    run_stream(page, "reconnect", 100, 300)
    expect(page.locator(".xterm-rows")).to_contain_text("L20 ")
    page.context.set_offline(True)
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")  # Reflex then closes its socket
    expect(page.locator(".vt-host")).not_to_have_attribute("data-last-seq", "301")
    page.context.set_offline(False)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    has_reached(page, 301)
    lines = saved_text(page)
    assert len(lines) == 301
    assert len(set(lines)) == len(lines)


def test_text_is_shown_as_the_events_say(visit: Callable[..., Page]):
    page = visit("/stream/")
    page.click("#odd")
    expect(page.locator(".xterm-rows")).to_contain_text("Session completed")
    assert [line[9:] for line in saved_text(page)] == [
        "one two three",
        "red: still",
        "A status",
        " red",
        "An error with <b>markup</b> and </script>",
        "kept",
        "wide: 漢字 ✅",
        "[9 lines are left out here; all of it is kept as tool_22142b51]",
        "Session completed",
    ]
    colours = page.eval_on_selector_all(
        ".xterm-rows span", "spans => spans.map(span => [span.textContent, getComputedStyle(span).color])"
    )
    found = {text.strip(): colour for text, colour in colours}
    assert found["A status"] == "rgb(96, 165, 250)"
    assert found["Session completed"] == "rgb(74, 222, 128)"
    assert found["red"] == "rgb(248, 113, 113)"  # the colour goes on after the interruption
    assert next(colour for text, colour in colours if re.fullmatch(r"[\d:]{8}", text)) == "rgb(156, 163, 175)"


def test_what_is_left_out_of_the_output_is_a_link(visit: Callable[..., Page]):
    page = visit("/stream/")
    page.evaluate("window.vibeDoor.keep('of-this-origin')")
    page.click("#odd")
    expect(page.locator(".xterm-rows")).to_contain_text("Session completed")
    row = page.locator(".xterm-rows > div", has_text="tool_22142b51")
    box = row.locator("span", has_text="tool_22142b51").last.bounding_box()
    assert box
    with page.expect_popup() as opened:
        # The link is found under a mouse that moves, and followed by a click of it.
        page.mouse.move(box["x"] + box["width"] - 30, box["y"] + box["height"] / 2)
        page.mouse.move(box["x"] + box["width"] - 25, box["y"] + box["height"] / 2)
        expect(page.locator(".xterm-cursor-pointer")).to_have_count(1)
        page.mouse.click(box["x"] + box["width"] - 25, box["y"] + box["height"] / 2)
    assert opened.value.url.endswith("/whole/tool_22142b51?key=of-this-origin")


def test_it_follows_the_end_unless_the_reader_scrolled_up(visit: Callable[..., Page]):
    page = visit("/stream/")
    run_stream(page, "follow", 0, 200)
    has_reached(page, 201)
    expect(page.locator(".xterm-rows")).to_contain_text("Session completed")
    page.locator(".vt-body").hover()
    page.mouse.wheel(0, -900)
    expect(page.locator(".xterm-rows")).not_to_contain_text("Session completed")
    run_stream(page, "follow", 0, 300)
    page.get_by_role("button", name="New output").click()
    expect(page.locator(".xterm-rows")).to_contain_text("L300 ")
    expect(page.get_by_role("button", name="New output")).to_have_count(0)


def test_search_finds_and_enlarging_fills_the_window(visit: Callable[..., Page]):
    page = visit("/stream/")
    run_stream(page, "search", 0, 100)
    has_reached(page, 101)
    page.locator(".xterm-helper-textarea").focus()
    page.keyboard.press("Control+f")
    page.keyboard.type("Running a tool")
    expect(page.locator(".vt-count")).to_have_text("3 of 3")
    page.keyboard.press("Enter")
    expect(page.locator(".vt-count")).to_have_text("2 of 3")
    page.keyboard.press("Escape")
    expect(page.locator(".vt-find")).to_have_count(0)
    page.get_by_role("button", name="Enlarge").click()
    box = page.locator(".vt").bounding_box()
    assert box == {"x": 0, "y": 0, "width": 1440, "height": 860}


def test_as_fast_as_they_come_nothing_is_lost_and_clicks_are_answered(visit: Callable[..., Page]):
    page = visit("/stream/")
    run_stream(page, "fast", 0, 20_000)
    for _ in range(5):
        page.click("#click")
    has_reached(page, 20_001)
    expect(page.locator("#click")).to_have_text("Click 5")
    assert len(saved_text(page)) == 20_001


def listening(visit: Callable[..., Page]) -> Page:
    """Open the board, and wait for its scripts: its cards are part of the page that comes before them."""
    page = visit("/board/")
    expect(page.locator('[data-card-id="c3"] a')).to_have_attribute("tabindex", "-1")
    return page


def columns(page: Page) -> dict[str, list[str]]:
    return page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('[data-column]')].map((column) =>"
        " [column.dataset.column, [...column.querySelectorAll('[data-card-id]')].map((c) =>"
        " c.dataset.cardId)]))"
    )


def drag(page: Page, card: str, column: str) -> None:
    start = page.locator(f'[data-card-id="{card}"]').bounding_box()
    end = page.locator(f'[data-column="{column}"]').bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 20, start["y"] + 4)
    page.mouse.down()
    page.mouse.move(start["x"] + 40, start["y"] + 20, steps=3)
    page.mouse.move(end["x"] + 40, end["y"] + 200, steps=6)


def test_a_card_is_dragged_and_shows_where_it_lands(visit: Callable[..., Page]):
    page = listening(visit)
    drag(page, "c1", "HUMAN_REVIEW")
    expect(page.locator('[data-column="HUMAN_REVIEW"]')).to_have_attribute("data-over", "true")
    page.mouse.up()
    expect(page.locator("#acts")).to_contain_text("move:c1:HUMAN_REVIEW:")
    assert columns(page)["HUMAN_REVIEW"] == ["h1", "c1"]


def test_a_refused_drop_and_a_locked_card_stay_where_they_were(visit: Callable[..., Page]):
    page = listening(visit)
    before = columns(page)
    drag(page, "c2", "IN_PROGRESS")
    page.mouse.up()
    expect(page.locator("#acts")).to_contain_text("move:c2:IN_PROGRESS:")
    expect(page.locator('[data-column="TODO"] [data-card-id="c2"]')).to_be_visible()
    drag(page, "busy", "DONE")
    page.mouse.up()
    assert columns(page) == before


def test_a_card_is_moved_by_keyboard_and_announced(visit: Callable[..., Page]):
    page = listening(visit)
    page.locator('[data-card-id="c3"]').focus()
    page.keyboard.press("Space")
    expect(page.locator("[id^=rfd-announcement]")).to_contain_text("Card 3 picked up")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[id^=rfd-announcement]")).to_have_text("AI_REVIEW, place 1")
    page.keyboard.press("Space")
    expect(page.locator("#acts")).to_contain_text("move:c3:AI_REVIEW:")
    expect(page.locator('[data-card-id="c3"]')).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(page.locator('[data-column="AI_REVIEW"] [data-card-id="c3"]')).to_be_focused()


def test_keys_go_between_cards_and_act_on_them(visit: Callable[..., Page]):
    page = listening(visit)
    page.locator('[data-card-id="c2"]').focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator('[data-card-id="c3"]')).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator('[data-card-id="busy"]')).to_be_focused()
    page.keyboard.press("e")
    expect(page.locator("#acts")).to_contain_text("e:busy")
    page.keyboard.press("Space")
    expect(page.locator("#acts")).to_contain_text(" :busy")
    assert page.locator("[data-card-id] :is(a, button)").evaluate_all(
        "all => all.every((e) => e.tabIndex < 0)"
    )


def test_what_is_newer_than_the_columns_is_shown_over_them(visit: Callable[..., Page]):
    page = listening(visit)
    page.click("#patch")
    expect(page.locator('[data-card-id="c1"]')).to_contain_text("Card 1, changed")
    found = columns(page)
    assert (found["TODO"], found["HUMAN_REVIEW"]) == (["c3", "c1", "c4", "h1"], [])


def test_a_second_press_does_not_start_the_card_that_slid_under_the_pointer(visit: Callable[..., Page]):
    page = listening(visit)
    run = page.evaluate_handle(
        """() => (id) => document.querySelector(`[data-card-id="${id}"] button`).click()"""
    )
    page.evaluate("(run) => { run('c1'); run('c2'); }", run)
    expect(page.locator("#acts")).to_contain_text("run:c1")
    page.wait_for_timeout(450)
    page.evaluate("(run) => run('c3')", run)
    expect(page.locator("#acts")).to_contain_text("run:c3")
    assert "run:c2" not in page.locator("#acts").inner_text()


def test_markdown_runs_nothing_and_loads_nothing(visit: Callable[..., Page]):
    page = visit("/markdown/")
    body = page.locator(".v-markdown")
    expect(body.get_by_role("heading", name="Title")).to_be_visible()
    expect(body).to_contain_text("<script>window.pwned = 1</script>")
    assert page.locator(".v-markdown :is(script, img, iframe)").count() == 0
    assert body.get_by_text("link", exact=True).get_attribute("href") in ("", None)
    assert page.evaluate("window.pwned") is None
