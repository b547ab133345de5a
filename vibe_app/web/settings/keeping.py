"""The forms of the settings: only what was changed is written, and never over what another wrote.

A form carries, as one hidden field, the version and the texts that it was filled with. Where a field that
the person changed is another by now, nothing is saved: both texts stand above the form, which keeps what
was typed. What is typed outlives a reload and a lost session, as in every form.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.errors import Conflict, VersionChanged
from vibe_app.web.auth import acts
from vibe_app.web.forms import words
from vibe_app.web.kit.draft import draft, forget, forget_sent, typed
from vibe_app.web.kit.sections import for_owners
from vibe_app.web.kit.two_texts import two_texts
from vibe_app.web.place import known
from vibe_app.wiring import services

_SEEN = "seen"
_TRIES = 5
_OTHERS = "Others are changing this at the same moment. Nothing was saved: save again."
Texts = dict[str, str]


@dataclass(frozen=True)
class Seen:
    """What a form was filled with, and how the form says it. Version 0, which nothing has, where unknown."""

    version: int = 0
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    said: str = ""


@dataclass(frozen=True)
class Form:
    """A form of the settings, or a list whose rows are changed in place.

    Attributes:
        name: Which one it is.
        labels: What each field is called, by its name.
        texts: Returns what the fields hold of a view, and what else the form says.
        read: Reads the view: who asks, and the id of what the form is about.
        write: Writes the fields that were changed, on top of a version; returns the view.
        told: What is said once it is saved.
        typed: Returns what the fields hold of what the browser sent.
        after: More that happens then; is given who asks and the view.
    """

    name: str
    labels: Mapping[str, str]
    texts: Callable[[Any], Texts]
    read: Callable[[Actor, str], Awaitable[Any]]
    write: Callable[[Actor, str, Texts, int], Awaitable[Any]]
    told: str = ""
    typed: Callable[[Mapping[str, Any]], Texts] | None = None
    after: Callable[[Actor, Any], Awaitable[None]] | None = None


FORMS: dict[str, Form] = {}
"""Every form, by its name."""
PROJECT_FORMS: list[Form] = []
"""Those of a project's settings."""


def project_form(
    name: str,
    labels: Mapping[str, str],
    texts: Callable[[ProjectView], Texts],
    patch: Callable[[Texts], ProjectPatch],
    told: str,
    **more: Any,
) -> Form:
    """Make a form of a project's settings; `patch` returns what to write of the fields that were changed."""

    async def read(actor: Actor, of: str) -> ProjectView:
        return await services().projects.read(actor, known(of))

    async def write(actor: Actor, of: str, changed: Texts, version: int) -> ProjectView:
        return await services().projects.change(actor, known(of), patch(changed), version)

    FORMS[name] = Form(name, labels, texts, read, write, told, **more)
    PROJECT_FORMS.append(FORMS[name])
    return FORMS[name]


@dataclass
class BothTexts:
    """A field that two people changed."""

    name: str
    mine: str
    theirs: str


class FormsState(rx.State):
    """What the forms of a settings page hold, each by its name, and what stands above one not saved."""

    of: dict[str, str] = {}
    """What it is about: the id of a project or a person."""
    texts: dict[str, dict[str, str]] = {}
    seen: dict[str, str] = {}
    shown: dict[str, int] = {}
    """Grows when the form begins anew."""
    looks_only: bool = False
    clash: str = ""
    both: list[BothTexts] = []
    _saved: dict[str, list[str]] = {}
    """What this tab saved last: what its form was filled with, and what it would be filled with since."""
    _clash_of: str = ""
    _mine: Texts = {}
    _theirs: Texts = {}
    _version: int = 0

    @acts
    async def save(self, actor: Actor, name: str, sent: dict[str, Any]):
        """Keep what the person changed in a form, or show both texts."""
        form = FORMS.get(name)
        if form is None or name not in self.of:
            return None
        mine = form.typed(sent) if form.typed is not None else field_texts(sent, *form.labels)
        before, since = self._saved.get(name, ["", ""])
        said = str(sent.get(_SEEN, ""))
        # Who goes on writing after a save does so on top of it, whether or not their form says so yet.
        seen = replace(_read_seen(since), said=said) if said and said == before else _read_seen(said)
        return await keep(self, actor, form, self.of[name], mine, seen)

    @acts
    async def follow(self, actor: Actor, name: str):
        """Do what follows a save."""
        form = FORMS.get(name)
        if form is not None and form.after is not None and name in self.of:
            await form.after(actor, await form.read(actor, self.of[name]))

    @acts
    async def show_again(self, actor: Actor, name: str):
        """Fill a form with what is there."""
        form = FORMS.get(name)
        if form is not None and name in self.of:
            fill(self, form, self.of[name], await form.read(actor, self.of[name]), anew=True)

    @acts
    async def keep_mine(self, actor: Actor):
        """Save what this person typed over what is shown of another. What came since is asked about again."""
        form = FORMS.get(self.clash)
        if form is None:  # the second half of a double click
            return None
        seen, of, mine = Seen(self._version, dict(self._theirs)), self._clash_of, dict(self._mine)
        return await keep(self, actor, form, of, mine, seen)

    @rx.event
    def take_theirs(self):
        """Fill the form with what is there."""
        name = self.clash
        settle(self)
        return [forget(draft_name(name, self.of.get(name, ""))), FormsState.show_again(name)]


def settle(state: FormsState) -> None:
    """Take away what stands above a form."""
    state.clash, state.both = "", []
    state._clash_of, state._mine, state._theirs, state._version = "", {}, {}, 0


async def keep(
    state: FormsState,
    actor: Actor,
    form: Form,
    of: str,
    mine: Texts,
    seen: Seen,
    who: str = "",
) -> Any:
    """Save what the person changed, or show both texts.

    Args:
        state: Where they are shown.
        actor: Who asks.
        form: Which form.
        of: The id of what it is about.
        mine: The fields, by name.
        seen: What they held before. It is no more trusted than the rest.
        who: Whom it is about, in a list of people.

    Returns:
        The events that follow; None where nothing was saved.
    """
    settle(state)
    changed = {name: text for name, text in mine.items() if text != seen.texts.get(name)}
    version = seen.version
    for _ in range(_TRIES):
        try:
            view = await form.write(actor, of, changed, version)
        except VersionChanged as error:
            version = error.present.version
            theirs = form.texts(error.present)
            if _clash(state, form, changed, seen, theirs, who):
                state._clash_of, state._mine = of, changed
                state._version, state._theirs = version, theirs
                return None
        else:
            told = [rx.toast.success(form.told)] if form.told else []
            if form.name not in state.of:
                return told
            state._saved[form.name] = [seen.said, _said(form, view)]
            theirs = form.texts(view)
            # What was sent goes before the form is filled anew, and would be filled with it.
            events: list[Any] = [forget_sent(draft_name(form.name, of))]
            if seen.said and all(theirs.get(name, "") == text for name, text in mine.items()):
                # The form holds what is there, or what has been typed into it since: that stays.
                state.seen[form.name], state.texts[form.name] = _said(form, view), theirs
            else:
                events.append(FormsState.show_again(form.name))
            return [*events, *told, *([FormsState.follow(form.name)] if form.after is not None else [])]
    raise Conflict(_OTHERS)


def _clash(state: FormsState, form: Form, changed: Texts, seen: Seen, theirs: Texts, who: str) -> bool:
    """Show both texts of the fields that somebody else changed too; tell whether there is one."""
    names = [
        name
        for name, text in changed.items()
        if name in form.labels and theirs[name] not in (seen.texts.get(name), text)
    ]
    if names:
        state.clash = form.name
    before = f"{who}: " if who else ""
    state.both = [BothTexts(before + form.labels[name], changed[name], theirs[name]) for name in names]
    return bool(names)


def fill(state: FormsState, form: Form, of: str, view: Any, *, anew: bool = False) -> None:
    """Fill a form with what is there; it begins anew where that is something else than before.

    Args:
        state: Where it is shown.
        form: Which form.
        of: The id of what it is about.
        view: What is there.
        anew: It begins anew in any case.
    """
    texts = form.texts(view)
    state.seen[form.name] = _said(form, view)
    if anew or (state.of.get(form.name), state.texts.get(form.name)) != (of, texts):
        state.of[form.name], state.texts[form.name] = of, texts
        state.shown[form.name] = state.shown.get(form.name, 0) + 1


def fill_project(state: FormsState, project: ProjectView) -> None:
    """Fill every form of a project's settings."""
    state.looks_only = project.role is not ProjectRole.OWNER
    for form in PROJECT_FORMS:
        fill(state, form, str(project.id), project)


def field_texts(form: Mapping[str, Any], *names: str) -> Texts:
    """Return fields of a form as they are compared: with one kind of line end, without spaces around."""
    return {name: words(form, name).replace("\r\n", "\n").strip() for name in names}


def draft_name(name: Any, of: Any) -> Any:
    """Return the name under which the browser keeps what is typed into a form."""
    return f"settings:{name}:{of}"


def begins(form: Form, name: str) -> Any:
    """Return with what a field of a form begins: what was typed into it, or what is there."""
    return typed(draft_name(form.name, FormsState.of[form.name]), name, FormsState.texts[form.name][name])


def form_part(form: Form, *parts: rx.Component, save: str = "Save") -> rx.Component:
    """Show a form: `parts` are its fields, `save` the words of its button."""
    name = draft_name(form.name, FormsState.of[form.name])
    return rx.el.div(
        draft(
            name,
            rx.el.form(
                for_owners(
                    FormsState.looks_only,
                    conflict_banner(form),
                    rx.el.input(
                        type="hidden",
                        name=_SEEN,
                        value=typed(name, _SEEN, FormsState.seen[form.name]),
                        read_only=True,
                    ),
                    *parts,
                    rx.cond(FormsState.looks_only, rx.fragment(), _buttons(form, save)),
                ),
                on_submit=lambda sent: FormsState.save(form.name, sent),
            ),
        ),
        key=FormsState.shown[form.name],
    )


def _buttons(form: Form, save: str) -> rx.Component:
    cancel = rx.button(
        "Cancel",
        type="reset",
        variant="soft",
        color_scheme="gray",
        on_click=FormsState.show_again(form.name),
    )
    return rx.el.div(rx.button(save, type="submit"), cancel, class_name="v-row")


def _said(form: Form, view: Any) -> str:
    return json.dumps({"version": view.version, "texts": form.texts(view)})


def _read_seen(said: str) -> Seen:
    try:
        told: Any = json.loads(said)
        version, texts = int(told["version"]), dict(told["texts"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return Seen()
    if not 0 < version < 2**31:
        return Seen()
    return Seen(version, {str(name): str(text) for name, text in texts.items()}, said)


def conflict_banner(form: Form, *settled: Any) -> rx.Component:
    """Show both texts of each field that somebody else changed meanwhile; nothing where there is none.

    Args:
        form: Of which form.
        settled: Events that follow either choice.
    """
    return rx.cond(
        FormsState.clash == form.name,
        rx.el.section(
            rx.el.h3("Somebody changed this while you were writing"),
            rx.el.p("Nothing was saved. Choose which one stays.", role="alert"),
            rx.foreach(FormsState.both, lambda row: two_texts(row.name, row.mine, row.theirs)),
            rx.el.div(
                rx.button("Keep mine", type="button", on_click=[FormsState.keep_mine, *settled]),
                rx.button(
                    "Take theirs",
                    type="button",
                    variant="soft",
                    color_scheme="gray",
                    on_click=[FormsState.take_theirs, *settled],
                ),
                class_name="v-row",
            ),
            aria_label="Two versions",
            class_name="v-both",
        ),
    )
