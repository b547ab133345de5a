"""The people of a soak of rounds: each desk takes one card after another from its making to a decision.

A round is one run of an agent on a card. When it rests, what its checkpoint holds is compared with what
a plain `git add` stores of the card's tree.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from soak.rounds.asking import Broken, Hangs, Person, until
from soak.rounds.luck import Luck
from soak.rounds.outside import Workspace
from soak.rounds.work import SHARED, Work, merge, throw

_TRIES = 10
_LATE = 200.0
"""Seconds after which what is left of a lost run must have been kept: workspaces are asked every 30 s, by
a server that is killed meanwhile."""


@dataclass
class Said:
    """A comment that somebody wrote.

    Args:
        id: Its id.
        token: The word by which it is known wherever it stands.
        task: Its card.
    """

    id: str
    token: str
    task: str


@dataclass
class Card:
    """A card, as its desk knows it.

    Args:
        project: Its project.
        path: Its address in the API.
        id, number: What it is called by.
        commits: The answers to its accepts.
    """

    project: str
    path: str
    id: str
    number: int
    works: list[Work] = field(default_factory=list[Work])
    commits: list[str] = field(default_factory=list[str])


@dataclass
class Team:
    """Everybody who works, and what they did.

    Args:
        people: Several logins; the first is an owner's, the others' roles let them comment and more.
        luck: Is told of each moment worth a death.
        workspaces: By project.
        dice: Decide.
        enough: Asked before each card.

    Attributes:
        rounds: How many runs have come to rest.
        counts: What was done.
        comments: All that were written.
        saved: Files that were saved on a base branch: project, path, text.
        violations: What must not be.
    """

    people: Sequence[Person]
    luck: Luck
    workspaces: dict[str, Workspace]
    dice: Random
    enough: Callable[[int], bool]
    rounds: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    comments: list[Said] = field(default_factory=list[Said])
    saved: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    violations: list[str] = field(default_factory=list[str])

    @property
    def owner(self) -> Person:
        """Who makes cards and decides."""
        return self.people[0]

    async def desk(self, number: int, project: str) -> None:
        """Take card after card, until it is enough."""
        turn = 0
        while not self.enough(self.rounds):
            turn += 1
            dice = Random(f"{self.dice.random()} {number} {turn}")
            try:
                await self._card(dice, project, f"{number}x{turn}")
            except (Hangs, Broken, RuntimeError) as error:
                self.violations.append(f"desk {number}, card {turn}, project {project}: {error}")

    async def _card(self, dice: Random, project: str, name: str) -> None:
        work = throw(dice, f"{name}x0")
        card = await self._make(dice, project, f"Card {name}", work.prompt)
        card.works.append(work)
        key = {"Idempotency-Key": name}
        self.luck.near("execute")
        await self._begin(dice, card, "/execute", {}, key)
        await self._rest(card)
        for turn in range(1, 1 + dice.choice((0, 1, 1, 2, 3))):
            if self.enough(self.rounds):
                break
            await self._follow(dice, card, throw(dice, f"{name}x{turn}"))
        if dice.random() < 0.35:
            await self._save(dice, project, name)
        await self._decide(dice, card, name)

    async def _make(self, dice: Random, project: str, title: str, prompt: str) -> Card:
        path = f"/projects/{project}/tasks"
        body = {"title": title, "description": prompt, "priority": dice.choice(("low", "normal", "high"))}

        async def made() -> Any:
            listed = await self.owner.get(path, text=title)
            same = [each for each in listed["tasks"] if each["title"] == title]
            if not same and (answer := await self.owner.once("POST", path, json=body)) is not None:
                same = [answer.json()]
            return same[0] if same else None

        found = await until(f"the card {title}", made)
        self.counts["cards"] += 1
        task = await self.owner.get(f"{path}/{found['id']}")
        return Card(project, f"{path}/{found['id']}", found["id"], task["number"] or 0)

    async def _begin(
        self, dice: Random, card: Card, verb: str, body: dict[str, Any], headers: dict[str, str]
    ) -> str:
        """Start a run; return the code of a refusal. One that cannot be reached stays as failed."""
        answer = await self.owner.ask(
            "POST", card.path + verb, (200, 502, 507, 409), json=body, headers=headers
        )
        if answer.status_code == 409:
            code = str(answer.json()["code"])
            if code not in ("change_busy", "revision_changed"):
                raise Broken(f"{verb} of {card.path} was refused: {answer.text[:400]}")
            return code
        self.counts[f"started by {verb[1:]}"] += 1
        if dice.random() < 0.06:
            await asyncio.sleep(dice.uniform(0, 4))
            await self.owner.ask("POST", f"{card.path}/stop", (200, 400))
            self.counts["stops"] += 1
        return ""

    async def _rest(self, card: Card) -> dict[str, Any]:
        """Wait until a card's run is over and nothing of its change is under way; look at it then."""

        async def over() -> Any:
            task = await self.owner.get(card.path)
            return task if task["status"] != "IN_PROGRESS" else None

        task = await until(f"the end of the run of {card.path}", over)
        self.luck.near("end")
        card.number = task["number"]
        change = await self._settled(card)
        self.rounds += 1
        await self._compare(card, change)
        return change

    async def _settled(self, card: Card) -> dict[str, Any]:
        """The card's change once nothing is to be done with it, as the row itself says."""

        async def settled() -> Any:
            change = await self.owner.get(f"{card.path}/change")
            return change if change["intent"] is None and change["state"] != "accepting" else None

        return await until(f"the end of what is done with the change of {card.path}", settled)

    async def _compare(self, card: Card, change: dict[str, Any]) -> None:
        """Hold the newest checkpoint against what a plain `git add` stores of the tree now."""
        if change["state"] != "open":
            return
        workspace = self.workspaces[card.project]
        name = f"card {card.number} of {card.project}"
        if not workspace.tree(card.number).is_dir():
            self.violations.append(f"{name} has an open change, but no tree")
            return
        differs = await self._differing(card, change)
        self.counts["checkpoints compared"] += 1
        sessions = (await self.owner.get(f"{card.path}/sessions"))["sessions"]
        if differs and sessions and sessions[0]["status"] != "completed":
            # Given up while nobody could tell whether its agent works: that is found and kept by and by.
            self.counts["checkpoints that came late"] += 1

            async def kept() -> bool:
                return not await self._differing(card, await self._settled(card))

            with suppress(Hangs):
                await until("what was left is kept", kept, _LATE)
                differs = []
        if differs:
            last = sessions[0] if sessions else {}
            self.violations.append(
                f"{name}: its checkpoint {change['revision'] or 'on the base'} is not what a plain add"
                f" stores: {'; '.join(differs[:5])}; its last session: {last.get('id')} {last.get('status')}"
                f" {last.get('error')}"
            )
        await self._has_its_work(card, change["revision"] or change["base"]["commit"])

    async def _differing(self, card: Card, change: dict[str, Any]) -> list[str]:
        revision, base = change["revision"], change["base"]["commit"]
        before = f"{revision}^1" if revision else base
        workspace = self.workspaces[card.project]
        return await workspace.differs_from_a_plain_add(card.number, revision or base, before)

    async def _has_its_work(self, card: Card, commit: str) -> None:
        """What the last run wrote is there, where that went through without having been lost in between."""
        sessions = (await self.owner.get(f"{card.path}/sessions"))["sessions"]
        if not sessions or sessions[0]["status"] != "completed" or sessions[0]["attempt"] > 1:
            return
        if sessions[0]["kind"] == "solve" or not card.works:
            return
        work = card.works[-1]
        found = await self.workspaces[card.project].git("ls-tree", commit, work.path)
        self.counts["works found"] += bool(found)
        if not found:
            self.violations.append(
                f"card {card.number} of {card.project}: {work.path} is not in {commit},"
                f" though session {sessions[0]['id']} is completed"
            )

    async def _follow(self, dice: Random, card: Card, work: Work) -> None:
        """Several people comment at once; some of that goes along with a message."""
        change = await self._settled(card)
        chosen: list[str] = []
        if change["state"] == "open" and change["revision"] and change["files"]:
            writers = dice.sample(list(self.people), dice.randint(1, len(self.people)))
            written = await asyncio.gather(
                *(
                    self._comment(dice, card, change, person, f"{work.token}c{number}")
                    for number, person in enumerate(writers)
                )
            )
            chosen = [said.id for said in written if dice.random() < 0.75]
        elif (await self.owner.get(card.path))["status"] == "TODO" and change["state"] == "none":
            return
        card.works.append(work)
        body = {"message": work.prompt, "comment_ids": chosen, "revision": change["revision"]}
        await self._tell(dice, card, body, work.token)
        self.counts["follow-ups"] += 1

    async def _tell(self, dice: Random, card: Card, body: dict[str, Any], token: str) -> None:
        """Follow up, again where what a lost run left was just being kept; then wait until that rests."""
        self.luck.near("follow-up")
        while True:
            code = await self._begin(dice, card, "/follow-up", body, {"Idempotency-Key": token})
            if code not in ("change_busy", "revision_changed"):
                break
            body["revision"] = (await self._settled(card))["revision"]
        await self._rest(card)

    async def _comment(
        self, dice: Random, card: Card, change: dict[str, Any], person: Person, token: str
    ) -> Said:
        """Write a comment, once, whatever becomes of the answer."""
        path = f"{card.path}/change/comments"
        token = f"comment-{token}-{dice.randint(1000, 9999)}"
        body = {
            "revision": change["revision"],
            "path": dice.choice(change["files"])["path"],
            "line": dice.randint(1, 3),
            "body": f"Please see to {token}.",
        }
        self.luck.near("comment")

        async def written() -> Any:
            listed = (await person.get(path))["comments"]
            same = [each for each in listed if token in each["body"]]
            if not same and (answer := await person.once("POST", path, json=body)) is not None:
                if answer.status_code != 201:
                    raise Broken(f"a comment on {card.path}: {answer.status_code} {answer.text[:300]}")
                same = [answer.json()]
            return same[0] if same else None

        said = Said((await until(f"comment {token}", written))["id"], token, card.id)
        self.comments.append(said)
        return said

    async def _save(self, dice: Random, project: str, name: str) -> None:
        """Save a file on the base branch: one of its own, or a line of the one that cards change too."""
        files = f"/projects/{project}/files/content"
        self.luck.near("save")
        path, text = f"saved/{name}", f"Saved {name}\n"
        if dice.random() < 0.5:
            found = await self.owner.ask("GET", files, (200, 404, 502), params={"path": SHARED})
            if found.status_code == 200:
                lines = found.json()["content"].splitlines() or [""]
                lines[dice.randrange(len(lines))] = f"base {name}"
                path, text = SHARED, "\n".join(lines) + "\n"
        params = {"path": path, "overwrite": True, "parents": True}

        async def written() -> bool:
            answer = await self.owner.once("PUT", files, params=params, content=text.encode())
            if answer is not None and answer.status_code not in (200, 201, 409, 502):
                raise Broken(f"saving {path}: {answer.status_code} {answer.text[:300]}")
            return answer is not None and answer.is_success

        await until(f"{path} saved on the base", written)
        self.counts["saves on a base"] += 1
        if path != SHARED:
            self.saved.append((project, path, text))

    async def _decide(self, dice: Random, card: Card, name: str) -> None:
        """Accept, discard, restore or leave it."""
        change = await self._settled(card)
        if change["state"] != "open":
            return
        what = dice.random()
        if what < 0.08:
            self.counts["left open"] += 1
            return
        if what < 0.3:
            await self._try("/change/discard", card, {"revision": change["revision"], "anyway": True})
            change = await self._settled(card)
            self._expect(card, change, "discarded")
            if change["revision"] is None or dice.random() < 0.4:
                return
            self.luck.near("decide")
            change = await self._restore(card)
            self.counts["restored"] += 1
            card.works.clear()
            await self._compare(card, change)
        await self._accept(dice, card, name)

    async def _restore(self, card: Card) -> dict[str, Any]:
        """Have a discarded change back; what was broken off says so, and is asked for again."""

        async def restored() -> Any:
            await self.owner.ask("POST", f"{card.path}/change/restore", (200, 202, 409, 502))
            change = await self._settled(card)
            return change if change["state"] == "open" else None

        return await until(f"{card.path} restored", restored)

    def _expect(self, card: Card, change: dict[str, Any], state: str) -> None:
        if change["state"] != state:
            raise Broken(f"{card.path} is {change['state']} and not {state}: {change.get('problem')}")

    async def _try(self, verb: str, card: Card, body: dict[str, Any]) -> Any:
        """Decide until that is carried out, or refused by a sentence that asks for something else."""

        async def done() -> Any:
            self.luck.near("decide")
            answer = await self.owner.ask("POST", card.path + verb, (200, 202, 400, 409, 502), json=body)
            if answer.status_code in (200, 400):
                return answer
            change = await self._settled(card)
            if change["state"] not in ("open", "discarded") or answer.status_code != 409:
                return None
            code = answer.json()["code"]
            return None if code in ("change_busy", "base_moves") else answer

        return await until(f"{verb} of {card.path}", done)

    async def _accept(self, dice: Random, card: Card, name: str) -> None:
        anyway, solves = False, 0
        strategy = dice.choice(("squash", "squash", "merge"))
        for turn in range(_TRIES):
            change = await self._settled(card)
            if change["state"] == "accepted":
                card.commits.append(change["commit"])
                self.counts[f"accepted by {strategy}"] += 1
                return
            if change["revision"] is None:
                self.counts["nothing to accept"] += 1
                return
            body = {"revision": change["revision"], "strategy": strategy, "anyway": anyway}
            answer = await self._try("/change/accept", card, body)
            code = answer.json().get("code")
            anyway = anyway or code == "would_be_lost"
            if code == "conflicts":
                self.counts["conflicts"] += 1
                if self.enough(self.rounds):
                    return
                solves += 1
                await self._solve(dice, card, f"{name}s{turn}", solves)
            elif code not in (None, "would_be_lost", "revision_changed", "no_change"):
                raise Broken(f"accept of {card.path}: {json.dumps(answer.json())[:600]}")
        # As a person would: what cannot be brought together is done anew.
        change = await self._settled(card)
        await self._try("/change/discard", card, {"revision": change["revision"], "anyway": True})
        self.counts["given up as it conflicts"] += 1

    async def _solve(self, dice: Random, card: Card, token: str, times: int) -> None:
        """Have the agent solve it: by the button first, whose words no script follows, then in own words."""
        change = await self._settled(card)
        if times == 1:
            body = {"revision": change["revision"]}
            answer = await self.owner.ask(
                "POST", f"{card.path}/change/solve", (200, 400, 409, 502), json=body
            )
            self.counts["solves"] += answer.status_code == 200
            await self._rest(card)
            return
        work = merge(token, change["base"]["branch"])
        card.works.append(work)
        body = {"message": work.prompt, "revision": change["revision"]}
        await self._tell(dice, card, body, token)
        self.counts["merges by agents"] += 1
