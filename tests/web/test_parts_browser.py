"""Small parts of the pages in a real browser: times, texts in place, forms, buttons, keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

NOON = 1_767_355_200_000
"""2 January 2026, 12:00 UTC, in epoch milliseconds, as in the gallery."""
MINUTE = 60_000
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def page(visit: Callable[..., Page]) -> Page:
    """The page of parts at noon, as its clock says."""
    page = visit("/parts/", at=NOON)
    expect(page.locator("#ages time").first).not_to_be_empty()
    return page


def told(page: Page) -> list[str]:
    """What the server was told so far."""
    return page.locator("#told li").all_inner_texts()


def test_times_are_written_one_way_in_the_readers_zone(page: Page) -> None:
    ages = page.locator("#ages li")
    expect(ages).to_have_text(
        ["just now", "just now", "1 min ago", "26 min ago", "3 h ago", "13 d ago", "Dec 13, 2025", "–"]
    )
    moment = datetime.fromtimestamp(NOON / 1000, ZoneInfo("Asia/Kolkata")) - timedelta(minutes=26)
    exact = ages.nth(3).locator("time").get_attribute("title")
    assert exact is not None
    assert f"{moment:%-I:%M}" in exact
    spent = [re.compile(r"^3\d s"), re.compile(r"^2 min 3\d s$"), "1 h 1 min", "2 min"]
    expect(page.locator("#spent li")).to_have_text(spent)


def test_a_day_is_near_by_the_calendar_of_who_reads(visit: Callable[..., Page]) -> None:
    # There it is the third already.
    page = visit("/parts/", at=NOON + 8 * 60 * MINUTE)
    days = page.locator("#due li")
    said = ["Overdue Dec 24, 2025", "Overdue yesterday", "Due today", "Due tomorrow", "Due Jan 9"]
    expect(days).to_have_text(said)
    expect(page.locator("#due .v-red")).to_have_count(2)
    expect(page.locator("#on")).to_have_text("Jan 3, 2026")
    page.clock.fast_forward(22 * 60 * MINUTE)
    expect(days.nth(2)).to_have_text("Due today")
    page.clock.fast_forward(60 * MINUTE)
    expect(days.nth(2)).to_have_text("Overdue yesterday")


def test_a_clock_counts_on_and_stops_while_nothing_is_connected(page: Page) -> None:
    first = page.locator("#spent li").first
    expect(first).to_have_text(re.compile(r"^3\d s"))
    page.clock.fast_forward(MINUTE)
    expect(first).to_have_text(re.compile(r"^1 min 3\d s"))
    page.context.set_offline(True)
    expect(page.locator("#connected")).to_have_text("lost")
    notice = page.get_by_role("status").filter(has_text="You are offline")
    expect(notice).to_be_visible()
    page.clock.fast_forward(MINUTE)
    expect(first).to_have_text(re.compile(r"^1 min 3\d s"))
    page.context.set_offline(False)
    expect(page.locator("#connected")).to_have_text("live")
    expect(notice).to_have_count(0)
    expect(first).to_have_text(re.compile(r"^2 min \d+ s"))


def test_escape_reverts_a_title_and_enter_saves_it(page: Page) -> None:
    title = page.get_by_label("Title")
    title.fill("Another")
    title.press("Escape")
    expect(title).to_have_value("A title")
    expect(title).to_be_focused()
    title.press("Escape")
    expect(title).not_to_be_focused()
    assert told(page) == []
    assert "/parts" in page.url
    title.fill(" Another ")
    title.press("Enter")
    expect(page.locator("#told li")).to_have_text(["save:Another:1"])
    expect(title).to_have_value("Another")
    assert page.evaluate("sessionStorage.getItem('vibe.draft.title')") is None


def test_an_empty_title_is_refused_with_a_sentence(page: Page) -> None:
    title = page.get_by_label("Title")
    title.fill("  ")
    title.press("Enter")
    expect(page.get_by_text("It cannot be empty, so the old one is back.")).to_be_visible()
    expect(title).to_have_value("A title")
    assert told(page) == []


def test_a_title_outlives_a_reload_and_is_saved_on_its_first_version(page: Page) -> None:
    page.get_by_label("Title").fill("refused")
    page.reload()
    title = page.get_by_label("Title")
    expect(title).to_have_value("refused")
    expect(title).to_be_focused()
    title.press("Enter")
    expect(page.locator("#told li")).to_have_text(["save:refused:1"])
    expect(title).to_have_value("refused")  # it was not kept, and is not lost
    page.get_by_role("button", name="Settle").click()
    expect(title).to_have_value("A title")


def test_what_is_typed_while_a_form_is_sent_stays(gallery: str, browser: Browser) -> None:
    held: list[str | bytes] = []
    sockets: list[WebSocketRoute] = []
    holding = False

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: held.append(message) if holding else socket.send(message))
        sockets.append(socket)

    with browser.new_page() as page:
        page.route_web_socket(re.compile("/_event/"), between)
        page.goto(f"{gallery}/parts/")
        words, told = page.get_by_label("Words"), page.locator("#told li")
        words.fill("Sent")
        holding = True
        words.press("Control+Enter")
        words.press_sequentially(", and more")
        while not held:
            page.wait_for_timeout(20)  # what a socket brings is heard only while Playwright waits
        holding = False
        for each in held:
            sockets[-1].send(each)
        expect(told).to_have_text(["sent:Sent"])
        page.reload()
        expect(words).to_have_value("Sent, and more")


def test_a_form_outlives_a_reload_until_it_is_cancelled_or_sent(page: Page) -> None:
    words, back = page.get_by_label("Words"), page.get_by_text("What you had typed is back.")
    words.fill("Something")
    expect(back).to_have_count(0)
    page.reload()
    expect(words).to_have_value("Something")
    expect(back).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.reload()
    expect(words).to_have_value("")
    expect(back).to_have_count(0)
    words.fill("All of it")
    words.press("Control+Enter")
    expect(page.locator("#told li")).to_have_text(["sent:All of it"])
    page.wait_for_function("!Object.keys(sessionStorage).some((each) => each.startsWith('vibe.draft.form'))")
    page.reload()
    expect(words).to_have_value("")


def test_a_button_is_pressed_once_and_the_next_one_only_after_a_while(page: Page) -> None:
    first, second = (page.get_by_role("button", name=name) for name in ("First", "Second"))
    first.click()
    expect(first).to_be_disabled()
    second.click()
    expect(second).to_be_enabled()
    expect(page.locator("#told li")).to_have_text(["first"])
    page.evaluate("window.guardedPress -= 400")
    second.click()
    expect(page.locator("#told li")).to_have_text(["first", "second"])
    page.clock.fast_forward(2500)
    expect(first).to_be_enabled()


def test_keys_work_where_nothing_is_typed_and_no_layer_is_open(page: Page) -> None:
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="A card")).to_be_focused()
    page.keyboard.press("/")
    search = page.get_by_label("Search")
    expect(search).to_be_focused()
    page.keyboard.type("n?/")
    expect(search).to_have_value("n?/")
    page.keyboard.press("Escape")
    expect(search).not_to_be_focused()
    page.keyboard.press("Control+n")
    page.keyboard.press("n")
    page.keyboard.press("?")
    expect(page.locator("#told li")).to_have_text(["n", "?"])
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Markdown")).to_be_visible()


def test_the_rail_is_folded_and_stays_so_and_is_a_sheet_on_a_phone(page: Page) -> None:
    rail, frame = page.locator("aside"), page.locator(".v-frame")
    fold = page.locator(".v-rail-fold")  # the gallery has no stylesheet: the other is there as well
    expect(fold).to_have_accessible_name("List of projects")
    fold.click()
    expect(frame).to_have_attribute("data-rail", "folded")
    page.reload()
    expect(frame).to_have_attribute("data-rail", "folded")
    expect(fold).to_have_accessible_name("Show the list of projects")
    expect(fold).to_have_attribute("aria-expanded", "false")
    page.set_viewport_size({"width": 390, "height": 800})
    page.evaluate("document.querySelector('.v-rail-unfold').click()")
    sheet = page.locator("dialog.v-sheet")
    expect(sheet).to_have_attribute("open", "")
    link = sheet.get_by_role("link", name="Board")
    expect(link).to_be_visible()
    expect(sheet.get_by_role("link", name="Parts")).to_have_attribute("aria-current", "page")
    link.click()
    expect(page.locator("[data-column]").first).to_be_visible()
    expect(rail).to_have_count(0)


def test_nothing_of_the_clock_differs_between_server_and_browser(gallery: str, browser: Browser) -> None:
    said: list[str] = []
    with browser.new_page(timezone_id="Pacific/Auckland") as page:
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{gallery}/parts/")
        expect(page.locator("#ages li").last).to_have_text("–")
        expect(page.locator("#ages time").first).not_to_be_empty()
        assert not [each for each in said if "ydrat" in each or "418" in each or "425" in each]
