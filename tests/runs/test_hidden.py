"""A repository's token that an agent comes upon is in nothing that a run leaves behind."""

from __future__ import annotations

from sqlalchemy import select

from tests import fakes
from tests.runs.rig import rigged
from tests.scripted import Script, ScriptedSidecar
from vibe_app.board.projects.schemas import NewProject, RepoCredential
from vibe_app.board.sessions.models import Session, SessionEvent
from vibe_app.settings import Settings

TOKEN = "ghp_0123456789=/"
SCRIPT = Script(
    events=[
        ("output", f"url = https://me:{TOKEN}@example.org/a.git\n", 0),
        ("status", f"Running: echo {TOKEN}", 0),
        ("error", "fatal: https://me:ghp_0123456789%3D%2F@example.org", 0),
    ]
)


async def test_output_does_not_show_the_credential(settings: Settings) -> None:
    async with ScriptedSidecar(SCRIPT) as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        project = await rig.projects.create(
            rig.actor,
            NewProject(
                name="Garden",
                repo_url="https://example.org/a.git",
                repo_credential=RepoCredential(username="me", token=TOKEN),
            ),
        )
        session = await rig.over(await rig.execute(await rig.card(project.id)))
        assert session.status == "completed"
        assert session.output == "url = https://me:***@example.org/a.git\n"
        async with rig.database.read() as db:
            events = list(await db.scalars(select(SessionEvent)))
            rows = list(await db.scalars(select(Session)))
    written = "\n".join([*(event.text for event in events), *(str(row.model_dump()) for row in rows)])
    assert "Running: echo ***" in written
    assert "ghp_" not in written
