"""What `make screenshots` shows: every page, by name, and what is done there before the picture is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page, Route, expect

from tests import sample
from tests.e2e.installation import Api

Act = Callable[[Page], Awaitable[Any]]


@dataclass(frozen=True)
class Shot:
    """A picture.

    Attributes:
        path: The address.
        acts: What is done there first, one after the other.
        after: What is done when it is taken, so that the next ones find everything as it was.
    """

    path: str
    acts: tuple[Act, ...] = ()
    after: Act | None = None


Shots = dict[str, Shot]


def press(*keys: str) -> Act:
    """Press keys, one after the other."""

    async def act(page: Page) -> None:
        for key in keys:
            await page.keyboard.press(key)

    return act


def write(text: str) -> Act:
    """Type a text where the focus is."""
    return lambda page: page.keyboard.type(text)


def click(role: Any, name: str) -> Act:
    """Press something that is known by its role and its name."""
    return lambda page: page.get_by_role(role, name=name, exact=True).first.click()


def on_card(title: str, *keys: str, tab: str = "To do") -> Act:
    """Press keys on a card; on a phone its column is brought to light first."""

    async def act(page: Page) -> None:
        column = page.get_by_role("tab", name=tab)
        if await column.is_visible():
            await column.click()
        await page.locator("[data-card-id]").filter(has_text=title).focus()
        await press(*keys)(page)

    return act


def over(title: str) -> Act:
    """Hold the pointer over a card."""
    return lambda page: page.locator("[data-card-id]").filter(has_text=title).hover()


async def _projects(page: Page) -> None:
    """Fold the list of projects away, or have it back; where it is a sheet, open it."""
    if await page.locator("dialog[open]").count() == 0:
        await page.locator(".v-rail-toggle").locator("visible=true").click()


async def _offline(page: Page) -> None:
    await page.context.set_offline(True)


async def _online(page: Page) -> None:
    await page.context.set_offline(False)


async def _uploads(page: Page) -> None:
    """Upload a name that is taken, a file that does not arrive, and one behind it."""

    async def never(route: Route) -> None:
        if "README.md" in route.request.url:
            await route.continue_()

    await page.route("**/files/content?*", never)
    names = ("README.md", "a recording of the meeting in which nothing was decided.bin", "next.bin")
    sent = [{"name": name, "mimeType": "", "buffer": bytes(1_500_000)} for name in names]
    await page.get_by_label("Files to upload").set_input_files(sent)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("region", name="Uploads").get_by_role("progressbar").wait_for()


async def _no_uploads(page: Page) -> None:
    """Stop what is still to be uploaded."""
    stops = page.get_by_role("region", name="Uploads").get_by_role("button", name="Stop")
    for left in range(await stops.count(), 0, -1):
        await stops.first.click()
        await expect(stops).to_have_count(left - 1)
    await page.unroute_all(behavior="ignoreErrors")


def changed_meanwhile(admin: Api, path: str, body: dict[str, str]) -> Act:
    """Have somebody else change something."""

    async def act(_: Page) -> None:
        now = (await admin("GET", path)).get("version")
        await admin("PATCH", path, json=body | ({"version": now} if now else {}))

    return act


def written_meanwhile(admin: Api, path: str, where: str, text: str) -> Act:
    """Have somebody else write a file."""
    params = {"path": where, "overwrite": "true"}
    return lambda _: admin("PUT", f"{path}/files/content", params=params, content=text)


def signed_out(link: str) -> Shots:
    """The pages of who is signed out; `link` is somebody's to set a password."""
    return {
        "sign-in": Shot("/login"),
        "sign-in-refused": Shot(
            "/login",
            (
                lambda page: page.get_by_label("E-mail").fill("ada@example.org"),
                lambda page: page.get_by_label("Password").fill("not-the-one"),
                click("button", "Sign in"),
                lambda page: page.get_by_role("alert").wait_for(),
            ),
        ),
        "invitation": Shot(link),
        "reset-ended": Shot("/reset?token=none"),
        "not-found-signed-out": Shot("/nothing/here"),
    }


def nothing_yet() -> Shots:
    """The pages of an installation without any project."""
    return {
        "home-empty": Shot("/"),
        "new-project": Shot("/", (click("button", "New project"),)),
        "command-bar-empty": Shot("/", (press("Control+k"),)),
    }


def board(base: str, locked: str) -> Shots:
    """A board, its dialogs and its bars.

    Args:
        base: Its address.
        locked: The title of a card that runs.
    """
    two = (on_card("Export a week", "x"), on_card("Tell people", "x"))
    return {
        "home": Shot("/"),
        "home-folded": Shot("/", (_projects,), _projects),
        "board": Shot(base),
        "board-hover": Shot(base, (over("Export a week"),)),
        "board-focus": Shot(base, (on_card("Fix the time zone"),)),
        "board-filtered": Shot(f"{base}?q=week"),
        "board-no-match": Shot(f"{base}?q=nothing-has-this"),
        "board-labels": Shot(base, (click("combobox", "Label"),)),
        "board-priorities": Shot(base, (click("combobox", "Priority"),)),
        "board-archive": Shot(f"{base}?show=archived"),
        "selection": Shot(base, two),
        "selection-label": Shot(base, (*two, press("l"))),
        "selection-move": Shot(base, (*two, press("m"))),
        "move": Shot(base, (on_card("Write the release", "m"),)),
        "done-with-change": Shot(
            base,
            (on_card("Start weeks", "m", tab="AI review"), click("button", "Done")),
            click("button", "Leave it there"),
        ),
        "toast": Shot(base, (on_card("Write the release", "a"),), click("button", "Undo")),
        "toast-error": Shot(base, (on_card(locked, "m", tab="In progress"),)),
        "offline": Shot(base, (_offline,), _online),
        "new-task": Shot(base, (press("n"),)),
        "keys": Shot(base, (press("?"),)),
        "command-bar": Shot(base, (press("Control+k"),)),
        "command-bar-typed": Shot(base, (press("Control+k"), write("week"))),
        "command-bar-nothing": Shot(base, (press("Control+k"), write("nothing-has-this"))),
    }


def drawers(base: str, cards: dict[str, str], admin: Api) -> Shots:
    """A card's drawer: cards of every kind, and what is under each tab.

    Args:
        base: The address of their board.
        cards: Their ids by title.
        admin: Somebody who changes one meanwhile.
    """
    of = {
        "new": "Export a week as a PDF",
        "running": sample.LIVE.title,
        "queued": sample.QUEUED.title,
        "failed": "Fix the time zone of recurring bookings",
        "cancelled": sample.STOPPED.title,
        "review": "Start weeks on Monday",
        "discarded": "Colour the free rooms",
        "accepted": "Name the offices",
    }
    tabs = ("overview", "output", "changes", "history")
    shots = {
        f"drawer-{kind}-{tab}": Shot(f"{base}/t/{cards[title]}/{tab}")
        for kind, title in of.items()
        for tab in tabs
    }
    review = f"{base}/t/{cards[of['review']]}"
    path = f"/projects/{base.rpartition('/')[2]}/tasks/{cards[of['new']]}"
    edit = click("button", "Edit")
    return shots | {
        "drawer-edit": Shot(f"{review}/overview", (edit,)),
        "drawer-edit-conflict": Shot(
            f"{base}/t/{cards[of['new']]}/overview",
            (
                edit,
                lambda page: page.locator(".v-drawer").get_by_label("Description").fill("Two rooms a page."),
                changed_meanwhile(admin, path, {"description": "One page for each room, in portrait."}),
                click("button", "Save"),
                lambda page: page.get_by_role("region", name="Two versions").wait_for(),
            ),
            changed_meanwhile(admin, path, {"description": "One page for each room, in landscape."}),
        ),
        "drawer-wide": Shot(f"{review}/changes", (_whole,)),
        "drawer-comment": Shot(f"{review}/changes", (press("j", "j", "c"),)),
        "drawer-accept": Shot(f"{review}/changes", (click("button", "Accept"),)),
        "drawer-discard": Shot(f"{review}/changes", (click("button", "Discard"),)),
        "drawer-run": Shot(
            f"{review}/history", (lambda page: page.locator(".v-session-head").first.click(),)
        ),
        "drawer-search": Shot(f"{review}/output", (click("button", "Search"), _searching, write("week"))),
        "drawer-large": Shot(f"{review}/output", (click("button", "Enlarge"),)),
        "drawer-missing": Shot(f"{base}/t/00000000-0000-4000-8000-000000000000"),
    }


async def _whole(page: Page) -> None:
    """Have the drawer take the whole page, where that can be had."""
    button = page.get_by_role("button", name="Use the whole page")
    if await button.is_visible():
        await button.click()


async def _searching(page: Page) -> None:
    await page.get_by_label("Search the output").wait_for()


def settings(base: str) -> Shots:
    """The settings of a project and of the installation."""
    parts = ("members", "repository", "changes", "limits", "network", "delete")
    return {
        "project-settings": Shot(f"{base}/settings"),
        **{part: Shot(f"{base}/settings/{part}") for part in parts},
        "members-adding": Shot(
            f"{base}/settings/members", (lambda page: page.get_by_label("Name or e-mail").fill("v"),)
        ),
        "settings": Shot("/settings"),
        "logins": Shot("/settings/logins"),
        "tokens": Shot("/settings/tokens"),
        "people": Shot("/settings/people"),
        "people-ask": Shot("/settings/people", (click("button", "Reset password"),)),
        "people-link": Shot(
            "/settings/people", (click("button", "Reset password"), click("button", "Make link"))
        ),
        "not-found": Shot("/nothing/here"),
        "no-project": Shot("/p/00000000-0000-4000-8000-000000000000"),
    }


def files(base: str, admin: Api) -> Shots:
    """The page of files; `admin` is somebody who writes meanwhile."""
    below = f"{base}/files"
    path = f"/projects/{base.rpartition('/')[2]}"
    edit = (click("button", "Edit"), press("Control+Home"), write("Mine. "))
    theirs = written_meanwhile(admin, path, "docs/booking.md", "# Booking\n\nTheirs.\n")
    before = written_meanwhile(
        admin, path, "docs/booking.md", "# Booking\n\nA room is booked from Monday on.\n"
    )
    conflict = (*edit, theirs, click("button", "Save"), lambda page: page.get_by_role("alert").wait_for())
    return {
        "files": Shot(below),
        "folder": Shot(f"{below}/docs"),
        "file": Shot(f"{below}/README.md"),
        "code": Shot(f"{below}/src/export.py"),
        "picture": Shot(f"{below}/static/sign.svg"),
        "editor": Shot(f"{below}/docs/booking.md", edit),
        "editor-conflict": Shot(f"{below}/docs/booking.md", conflict, before),
        "editor-leaving": Shot(f"{below}/docs/booking.md", (*edit, click("link", "Board"))),
        "uploads": Shot(below, (_uploads,), _no_uploads),
        "file-new": Shot(below, (click("button", "New file"),)),
        "file-delete": Shot(f"{below}/docs/booking.md", (click("button", "Delete"),)),
        "file-search": Shot(f"{below}?q=o"),
        "file-search-text": Shot(f"{below}?q=week&in=text"),
        "file-search-nothing": Shot(f"{below}?q=nothing-has-this"),
        "file-missing": Shot(f"{below}/no/such/file"),
    }


def hard(base: str, cards: dict[str, str], file: str) -> Shots:
    """Texts that are hard to show: long, without spaces, from right to left, without Latin letters."""
    kinds = ("long", "arabic", "japanese", "emoji")
    titles = dict(zip(kinds, (each.title for each in sample.HARD), strict=True))
    return {
        "hard-home": Shot("/"),
        "hard-board": Shot(base),
        **{f"hard-{kind}": Shot(f"{base}/t/{cards[title]}/overview") for kind, title in titles.items()},
        "hard-output": Shot(f"{base}/t/{cards[titles['long']]}/output"),
        "hard-changes": Shot(f"{base}/t/{cards[titles['long']]}/changes"),
        "hard-history": Shot(f"{base}/t/{cards[titles['long']]}/history"),
        "hard-move": Shot(base, (on_card(titles["arabic"], "m"),)),
        "hard-toast": Shot(base, (on_card(titles["arabic"], "a"),), click("button", "Undo")),
        "hard-command-bar": Shot(base, (press("Control+k"), write("a"))),
        "hard-files": Shot(f"{base}/files"),
        "hard-file": Shot(f"{base}/files/{file}"),
        "hard-settings": Shot(f"{base}/settings"),
        "hard-people": Shot("/settings/people"),
    }


def looking(base: str, cards: dict[str, str]) -> Shots:
    """What somebody sees who may only look."""
    review = f"{base}/t/{cards['Start weeks on Monday']}"
    return {
        "viewer-home": Shot("/"),
        "viewer-board": Shot(base, (over("Export a week"),)),
        "viewer-overview": Shot(f"{review}/overview"),
        "viewer-output": Shot(f"{review}/output"),
        "viewer-changes": Shot(f"{review}/changes"),
        "viewer-files": Shot(f"{base}/files"),
        "viewer-settings": Shot(f"{base}/settings"),
        "viewer-people": Shot("/settings/people"),
    }
