"""What the local runtime does when things go wrong; mostly with a small program in OpenCode's place."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from tests.disks import fill, needs_mount, small_disk
from tests.specs import keys_of, spec_of, tenancy
from tests.waiting import eventually, kill
from tests.workspaces.runtimes.conftest import STAND_IN, local_settings, program
from vibe_app.aio import BROKEN
from vibe_app.errors import DiskFull, InvalidRequest, Unavailable
from vibe_app.workspace_services.sidecar.sweep import Meant, sweep
from vibe_app.workspaces.runtimes.base import FILES_GONE, Endpoint
from vibe_app.workspaces.runtimes.local import asking, processes, records, wall
from vibe_app.workspaces.runtimes.local import runtime as local
from vibe_app.workspaces.runtimes.local.records import Name, Record
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime


class Told:
    """Remembers the statuses that a runtime tells."""

    def __init__(self) -> None:
        self.statuses: dict[UUID, list[tuple[str, str | None]]] = defaultdict(list)

    async def __call__(
        self, project_id: UUID, status: str, reason: str | None, endpoint: Endpoint | None
    ) -> None:
        self.statuses[project_id].append((status, reason))

    def words(self, project_id: UUID) -> list[str]:
        return [reason or status for status, reason in self.statuses[project_id]]

    def last(self, project_id: UUID) -> tuple[str, str | None]:
        return self.statuses[project_id][-1]


class Place:
    """A data folder and the runtimes that were opened on it."""

    def __init__(self, data: Path, opencode: Path) -> None:
        self.data = data
        self.told = Told()
        self.troubles: list[tuple[UUID, str, bool]] = []
        self.settings = local_settings(data, opencode)
        self.opened: list[LocalRuntime] = []

    async def open(self, **changes: object) -> LocalRuntime:
        settings = self.settings.model_copy(update=changes)
        runtime = LocalRuntime(settings, self.told, lambda *told: self.troubles.append(told), pace=0)
        await runtime.open(tenancy())
        self.opened.append(runtime)
        return runtime

    def running(self, project_id: UUID | None = None) -> set[int]:
        found = processes.of_workspace(self.data, project_id)
        return {process.pid for members in found.values() for process in members}

    def record(self, project_id: UUID) -> Record:
        return Record.model_validate_json((self.data / "run" / f"{project_id}.json").read_bytes())

    def pids(self, project_id: UUID) -> tuple[int, int]:
        """OpenCode's and the sidecar's."""
        record = self.record(project_id)
        assert record.opencode is not None
        assert record.sidecar is not None
        return record.opencode.pid, record.sidecar.pid

    def services(self, project_id: UUID) -> dict[Name, int]:
        """The numbers of all four processes."""
        record = self.record(project_id)
        return {name: service.pid for name in Name if (service := record.service(name))}


@pytest.fixture
async def place(tmp_path: Path, stand_in: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path / "data", stand_in)
    yield place
    for runtime in place.opened:
        await runtime.close(keep=())
    assert not place.running(), "processes were left behind"


async def test_a_service_that_dies_while_the_other_is_started_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, project = await place.open(), uuid4()
    await runtime.ensure(spec_of(project))
    opencode, sidecar = place.pids(project)
    start_ours = local.Services.start_ours

    def start_it_and_lose_the_other(services: local.Services, name: Name, record: Record) -> psutil.Process:
        if psutil.pid_exists(opencode):
            os.kill(opencode, signal.SIGKILL)
        return start_ours(services, name, record)

    monkeypatch.setattr(local.Services, "start_ours", start_it_and_lose_the_other)
    await kill(sidecar)
    await runtime.ensure(spec_of(project))
    assert place.told.last(project) == ("ready", None)
    assert opencode not in place.running()


async def test_opencode_is_missing(place: Place) -> None:
    runtime, project = await place.open(opencode=str(place.data / "nowhere")), uuid4()
    with pytest.raises(Unavailable, match=r"not installed at .*nowhere: run `make up`"):
        await runtime.ensure(spec_of(project))
    status, reason = place.told.last(project)
    assert status == "failed"
    assert "not installed" in (reason or "")
    assert not place.running()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "#!/bin/sh\necho no space left >&2\nexit 1\n",
            "OpenCode ended with status 1 while starting, saying: no space",
        ),
        ("#!/bin/sh\nkill -KILL $$\n", "OpenCode was ended by SIGKILL while starting without a word"),
        ("\x7fELF rubbish", "could not be started: Exec format error"),
    ],
)
async def test_opencode_crashes_at_start(place: Place, tmp_path: Path, text: str, sentence: str) -> None:
    runtime = await place.open(opencode=str(program(tmp_path / "broken", text)))
    project = uuid4()
    with pytest.raises(Unavailable, match=sentence):
        await runtime.ensure(spec_of(project))
    assert place.told.last(project)[0] == "failed"
    assert not place.running()
    assert await runtime.alive() == {}


async def test_opencode_never_answers(place: Place, tmp_path: Path) -> None:
    silent = program(tmp_path / "silent", "#!/bin/sh\nexec sleep 600\n")
    runtime = await place.open(opencode=str(silent), start_timeout=5)
    with pytest.raises(Unavailable, match=r"did not get ready within 5 s: OpenCode"):
        await runtime.ensure(spec_of(uuid4()))
    assert not place.running()


async def test_a_failed_start_can_be_tried_again(place: Place, tmp_path: Path) -> None:
    opencode = program(tmp_path / "mended", "#!/bin/sh\nexit 1\n")
    runtime, spec = await place.open(opencode=str(opencode)), spec_of(uuid4())
    with pytest.raises(Unavailable):
        await runtime.ensure(spec)
    program(opencode, STAND_IN)
    await runtime.ensure(spec)
    assert place.told.last(spec.project_id) == ("ready", None)


@needs_mount
async def test_a_start_without_room_says_so_and_can_be_tried_again(place: Place) -> None:
    with small_disk(place.data, 16) as disk:
        runtime, project = await place.open(), uuid4()
        filling = fill(disk)
        with pytest.raises(DiskFull, match=r"could not be started\. The disk is full"):
            await runtime.ensure(spec_of(project))
        assert place.told.last(project)[0] == "failed"
        filling.unlink()
        await runtime.ensure(spec_of(project))
        await runtime.close(keep=())


async def test_an_address_that_cannot_be_cloned(place: Place) -> None:
    runtime, project = await place.open(), uuid4()
    with pytest.raises(InvalidRequest, match="address"):
        await runtime.ensure(spec_of(project, "ext::sh -c true"))
    with pytest.raises(Unavailable, match="could not be cloned"):
        await runtime.ensure(spec_of(project, f"file://{place.data}/nothing"))
    assert place.told.last(project)[0] == "failed"
    assert not list(place.settings.workspaces.iterdir())


async def test_a_port_that_was_taken_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = iter([[taken.getsockname()[1], *records._free_ports(6)]])
        fresh = records._free_ports
        monkeypatch.setattr(records, "_free_ports", lambda count: next(given, None) or fresh(count))
        runtime, project = await place.open(), uuid4()
        await runtime.ensure(spec_of(project))
        assert place.record(project).opencode_port != taken.getsockname()[1]


async def test_only_two_start_at_once(place: Place) -> None:
    runtime, projects = await place.open(), [uuid4() for _ in range(3)]
    await asyncio.gather(*(runtime.ensure(spec_of(project)) for project in projects))
    waited = ["Waiting for other workspaces to start" in place.told.words(project) for project in projects]
    assert sorted(waited) == [False, False, True]
    assert await runtime.alive() == dict.fromkeys(projects, 1)


@pytest.mark.parametrize("service", ["opencode", "sidecar"])
async def test_what_dies_is_started_again_at_the_same_address(place: Place, service: str) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    endpoint = await runtime.ensure(spec)
    before = place.pids(spec.project_id)
    killed = before[0 if service == "opencode" else 1]
    os.kill(killed, signal.SIGKILL)
    name = "OpenCode" if service == "opencode" else "The sidecar"
    sentence = ("starting", f"{name} was ended by SIGKILL: starting it again")
    await eventually(lambda: sentence in place.told.statuses[spec.project_id])
    await eventually(lambda: place.told.last(spec.project_id) == ("ready", None))
    after = place.pids(spec.project_id)
    assert [old == new for old, new in zip(before, after, strict=True)] == [pid != killed for pid in before]
    assert await runtime.ensure(spec) == endpoint


@pytest.mark.parametrize("name", [Name.FILES, Name.PROXY, Name.GATEWAY])
async def test_the_services_beside_are_started_again_without_a_word(place: Place, name: Name) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    endpoint = await runtime.ensure(spec)
    before, told = place.services(spec.project_id), list(place.told.statuses[spec.project_id])
    assert set(before) == set(Name)
    os.kill(before[name], signal.SIGKILL)
    await eventually(lambda: place.services(spec.project_id)[name] != before[name])
    after = place.services(spec.project_id)
    assert {each for each in Name if before[each] != after[each]} == {name}
    assert await runtime.ensure(spec) == endpoint
    assert place.told.statuses[spec.project_id] == told
    await eventually(lambda: asking.ask(place.record(spec.project_id).port(name), "/health")[0] == 200)


async def test_what_ends_an_agents_commands_leaves_the_services_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the app itself were started by an agent.
    monkeypatch.setenv("OPENCODE_PID", "1")
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    services = place.services(spec.project_id)
    environment = psutil.Process(services[Name.OPENCODE]).environ()
    command = await asyncio.create_subprocess_exec(
        "sleep", "600", env=environment | {"OPENCODE_PID": str(services[Name.OPENCODE])}
    )
    assert await sweep(str(spec.project_id), Meant) == ["sleep"]
    # How it ended is told to whoever asks first, and the sweep asks as well.
    await asyncio.wait_for(command.wait(), 5)
    assert place.running(spec.project_id) == set(services.values())


async def test_with_another_limit_only_the_file_browser_is_started_anew(place: Place) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    await first.ensure(spec)
    before = place.services(spec.project_id)
    await first.close()
    second = await place.open(upload_mib=7)
    await eventually(lambda: place.services(spec.project_id)[Name.FILES] != before[Name.FILES])
    await second.ensure(spec)
    after = place.services(spec.project_id)
    assert {name for name in Name if before[name] != after[name]} == {Name.FILES}
    assert psutil.Process(after[Name.FILES]).environ()["FILES_UPLOAD_MIB"] == "7"


async def test_with_another_authority_those_are_started_anew_that_ask_servers_elsewhere(
    place: Place, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    await first.ensure(spec)
    before = place.services(spec.project_id)
    await first.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    second = await place.open()
    await eventually(lambda: place.services(spec.project_id)[Name.GATEWAY] != before[Name.GATEWAY])
    await second.ensure(spec)
    after = place.services(spec.project_id)
    anew = {name for name in Name if before[name] != after[name]}
    assert anew == {Name.FILES, Name.GATEWAY}
    for name in anew:
        assert psutil.Process(after[name]).environ()["SSL_CERT_FILE"] == str(certificate[0])


def git_in(folder: Path, *commands: list[str]) -> None:
    """Run git as anybody does."""
    for words in commands:
        somebody = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", *somebody, *words], cwd=folder, check=True)


def of_the_earlier_layout(folder: Path) -> None:
    """Make a workspace as earlier versions did, with something that is not committed."""
    folder.mkdir(parents=True)
    git_in(folder, ["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "first"])
    (folder / "new.txt").write_text("not committed\n")


async def test_a_workspace_of_the_earlier_layout_is_taken_over(place: Place) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    folder = place.settings.workspaces / str(spec.project_id)
    of_the_earlier_layout(folder)
    assert (await runtime.ensure(spec)).trees
    assert not (folder / ".git").exists()
    assert {"hub", "base", "tasks", ".opencode"} <= {path.name for path in folder.iterdir()}
    (left,) = [path for path in folder.rglob("new.txt") if "tasks" not in path.parts]
    assert left.read_text() == "not committed\n"


async def test_an_opencode_of_an_earlier_version_goes_on_in_its_own_layout(place: Place) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    assert (await first.ensure(spec)).trees
    await first.close()
    file = place.data / "run" / f"{spec.project_id}.json"
    known = json.loads(file.read_text())
    del known["trees"]
    file.write_text(json.dumps(known))
    folder = place.settings.workspaces / str(spec.project_id)
    shutil.rmtree(folder)
    (folder.parent / f".{folder.name}.layout").unlink()
    of_the_earlier_layout(folder)
    (folder / ".opencode").mkdir()
    second = await place.open()
    assert not (await second.ensure(spec)).trees
    await kill(place.pids(spec.project_id)[1])
    assert not (await second.ensure(spec)).trees
    assert (folder / "new.txt").exists()
    # Nobody works there any more.
    await second.stop(spec.project_id)
    assert (await second.ensure(spec)).trees
    assert not (folder / "new.txt").exists()


async def test_a_clone_that_was_broken_off_is_begun_again(place: Place, tmp_path: Path) -> None:
    runtime = await place.open()
    source = tmp_path / "source"
    of_the_earlier_layout(source)
    git_in(source, ["add", "-A"], ["commit", "-q", "-m", "second"])
    spec = spec_of(uuid4(), f"file://{source}")
    folder = place.settings.workspaces / str(spec.project_id)
    (folder / ".new-0123").mkdir(parents=True)
    (folder.parent / f".{folder.name}.layout").write_text('{"state": "made", "taken": ""}')
    await runtime.ensure(spec)
    assert (folder / "base" / "new.txt").exists()


async def test_git_is_kept_from_the_machine_where_a_wall_was_found(place: Place) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    found = wall.find(place.settings)
    expected = found.bubblewrap if isinstance(found, wall.Wall) else ""
    environment = psutil.Process(place.services(spec.project_id)[Name.FILES]).environ()
    assert environment["BUBBLEWRAP"] == (expected if place.settings.sandbox == "on" else "")


async def test_a_record_from_before_the_file_browser_is_adopted(place: Place) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    await first.ensure(spec)
    await first.close()
    file = place.data / "run" / f"{spec.project_id}.json"
    known = json.loads(file.read_text())
    for beside in ("files", "proxy"):
        os.kill(known[beside]["pid"], signal.SIGKILL)
        del known[beside], known[f"{beside}_port"]
    file.write_text(json.dumps(known))
    second = await place.open()
    assert await second.alive() == {spec.project_id: 1}
    await eventually(lambda: set(place.services(spec.project_id)) == set(Name))
    assert place.pids(spec.project_id) == (known["opencode"]["pid"], known["sidecar"]["pid"])


async def test_what_keeps_dying_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_RESTART_DELAYS", (0.0,))
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    for _ in range(2):
        await eventually(lambda: place.told.last(spec.project_id) == ("ready", None))
        told = len(place.told.statuses[spec.project_id])
        os.kill(place.pids(spec.project_id)[0], signal.SIGKILL)
        await eventually(lambda: len(place.told.statuses[spec.project_id]) > told)  # noqa: B023
    await eventually(lambda: place.told.last(spec.project_id)[0] == "failed")
    assert "OpenCode was ended by SIGKILL" in (place.told.last(spec.project_id)[1] or "")
    assert not place.running()
    await runtime.ensure(spec)
    assert place.told.last(spec.project_id) == ("ready", None)


async def test_an_orphaned_process_of_an_agent_is_ended_by_stop(place: Place) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    environment = psutil.Process(place.pids(spec.project_id)[0]).environ()
    stray = await asyncio.create_subprocess_exec(
        "sh", "-c", "trap '' TERM; sleep 600", env=environment, start_new_session=True
    )
    await eventually(lambda: stray.pid in place.running(spec.project_id))
    await runtime.stop(spec.project_id)
    assert await asyncio.wait_for(stray.wait(), 5) == -signal.SIGKILL
    assert not place.running()
    assert not (place.data / "run" / f"{spec.project_id}.json").exists()
    assert place.told.last(spec.project_id) == ("stopped", None)


async def test_a_start_that_is_asked_for_during_a_stop_comes_after_it(place: Place) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    stopping = asyncio.create_task(runtime.stop(spec.project_id))
    await asyncio.sleep(0)
    endpoint = await runtime.ensure(spec)
    await stopping
    assert await runtime.alive() == {spec.project_id: 1}
    assert await runtime.ensure(spec) == endpoint
    assert place.told.last(spec.project_id) == ("ready", None)


async def test_stop_during_a_start(place: Place, tmp_path: Path) -> None:
    silent = program(tmp_path / "silent", "#!/bin/sh\nexec sleep 600\n")
    runtime, spec = await place.open(opencode=str(silent)), spec_of(uuid4())
    ensuring = asyncio.create_task(runtime.ensure(spec))
    await eventually(lambda: len(place.running()) == len(Name))
    await runtime.stop(spec.project_id)
    with pytest.raises(Unavailable, match="stopped while it was starting"):
        await ensuring
    assert not place.running()


async def test_erase_removes_every_file(place: Place) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    folder = place.settings.workspaces / str(spec.project_id)
    (folder / "cache" / "read-only").mkdir(parents=True)
    (folder / "cache" / "read-only" / "file").write_text("x")
    (folder / "cache" / "read-only").chmod(0o500)
    await runtime.stop(spec.project_id)
    assert folder.is_dir()
    await runtime.stop(spec.project_id, erase=True)
    left = [str(path) for path in place.data.rglob("*") if str(spec.project_id) in str(path)]
    assert left == []
    assert not (place.data / "trash").exists()


async def test_an_erasure_that_broke_off_is_carried_on_by_open(place: Place) -> None:
    """What was moved away is of no project any more: nobody else would find it."""
    left = place.data / "trash" / uuid4().hex / "read-only"
    left.mkdir(parents=True)
    (left / "file").write_text("x")
    left.chmod(0o500)
    await place.open()
    assert not (place.data / "trash").exists()


async def test_what_an_agent_wrote_has_no_effect_on_the_next_start(place: Place) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    folder = place.settings.workspaces / str(spec.project_id)
    config = folder / ".opencode" / "config.json"
    written = config.read_text()
    config.write_text(json.dumps({"mcp": {"evil": {"type": "local", "command": ["touch", "x"]}}}))
    # Were the workspace on the sidecar's module path, this would end it at once.
    (folder / "json.py").write_text("raise SystemExit('taken over')")
    await runtime.stop(spec.project_id)
    await runtime.ensure(spec)
    port = place.record(spec.project_id).model_port
    assert json.loads(config.read_text())["permission"] == json.loads(written)["permission"]
    assert "mcp" not in json.loads(config.read_text())
    assert f":{port}/" in config.read_text()


async def test_secrets_stay_where_they_belong(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIBE_SECRET_KEY", "signs-logins-and-nothing-else-at-all")
    runtime, project = await place.open(), uuid4()
    await runtime.ensure(spec_of(project))
    file = place.data / "run" / f"{project}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    keys = keys_of(project)
    secrets = (keys.token, keys.password, keys.rehearsal_key, keys.model_token)
    assert len(set(secrets)) == 4
    assert not any(secret in file.read_text() for secret in secrets)
    found = {name: psutil.Process(pid) for name, pid in place.services(project).items()}
    opencode = found[Name.OPENCODE]
    for process in found.values():
        assert not any(secret in " ".join(process.cmdline()) for secret in secrets)
        # Who hides from its own user shows nothing.
        with suppress(psutil.AccessDenied):
            assert "signs-logins" not in process.environ().values()
    assert keys.token not in opencode.environ().values()
    assert keys.password not in found[Name.FILES].environ().values()
    logs = "".join(log.read_text() for log in (place.data / "logs").iterdir())
    assert not any(secret in logs for secret in secrets)


async def test_a_status_that_cannot_be_told_does_not_stop_the_work(
    tmp_path: Path, stand_in: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(project_id: UUID, status: str, reason: str | None, endpoint: Endpoint | None) -> None:
        raise OSError("the database is away")

    runtime = LocalRuntime(local_settings(tmp_path / "data", stand_in), broken, pace=0)
    await runtime.open(tenancy())
    try:
        project = uuid4()
        await runtime.ensure(spec_of(project))
        assert await runtime.alive() == {project: 1}
        assert "the database is away" in caplog.text
    finally:
        await runtime.close(keep=())


async def test_the_data_folder_cannot_be_written(place: Place) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    (place.data / "homes").write_text("in the way")
    with pytest.raises(Unavailable, match=r"could not be started: File exists .*homes"):
        await runtime.ensure(spec)
    assert not place.running()


async def test_two_apps_do_not_share_a_data_folder(place: Place) -> None:
    await place.open()
    second = LocalRuntime(place.settings)
    with pytest.raises(Unavailable, match=rf"Another Vibe \(process {os.getpid()}\) uses the folder"):
        await second.open(tenancy())


async def test_close_leaves_workspaces_and_the_next_open_finds_them(place: Place) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    endpoint = await first.ensure(spec)
    before = place.pids(spec.project_id)
    await first.close()
    assert place.running() == set(place.services(spec.project_id).values())
    second = await place.open()
    assert await second.alive() == {spec.project_id: 1}
    assert await second.ensure(spec) == endpoint
    assert place.pids(spec.project_id) == before


async def test_close_stops_what_is_not_to_be_kept(place: Place) -> None:
    runtime, kept, idle = await place.open(), uuid4(), uuid4()
    await asyncio.gather(*(runtime.ensure(spec_of(project)) for project in (kept, idle)))
    await runtime.close(keep={kept})
    assert place.running(kept)
    assert not place.running(idle)
    assert await (await place.open()).alive() == {kept: 1}


async def test_a_half_dead_workspace_is_completed_by_open(place: Place) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    endpoint = await first.ensure(spec)
    await first.close()
    opencode, sidecar = place.pids(spec.project_id)
    os.kill(sidecar, signal.SIGKILL)
    second = await place.open()
    await eventually(lambda: place.told.last(spec.project_id) == ("ready", None))
    assert "Starting its sidecar again" in place.told.words(spec.project_id)
    assert place.pids(spec.project_id)[0] == opencode
    assert await second.ensure(spec) == endpoint


async def test_what_no_record_tells_of_is_ended_by_open(place: Place) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    await first.ensure(spec)
    await first.close()
    (place.data / "run" / f"{spec.project_id}.json").write_text("{ half a rec")
    (place.settings.workspaces / ".new-left").mkdir()
    second = await place.open()
    assert not place.running()
    assert await second.alive() == {}
    assert not (place.settings.workspaces / ".new-left").exists()
    await second.ensure(spec)


async def test_other_settings_reach_a_workspace_at_its_next_start(place: Place) -> None:
    first, spec = await place.open(), spec_of(uuid4())
    await first.ensure(spec)
    before = place.pids(spec.project_id)
    await first.close()
    second = await place.open(model="anthropic/claude-sonnet-4-5", model_api_key="key")
    assert await second.outdated() == {spec.project_id}
    await second.ensure(spec)
    assert place.pids(spec.project_id) == before, "what may be at work is left alone"
    await second.stop(spec.project_id)
    await second.ensure(spec)
    assert await second.outdated() == set()
    config = place.settings.workspaces / str(spec.project_id) / ".opencode" / "config.json"
    assert json.loads(config.read_text())["model"] == "anthropic/claude-sonnet-4-5"


@pytest.mark.parametrize("running", [True, False])
async def test_a_folder_that_was_deleted_is_made_anew_and_that_is_said(place: Place, running: bool) -> None:
    runtime, project = await place.open(), uuid4()
    assert (await runtime.ensure(spec_of(project))).notices == ()
    if not running:
        await runtime.stop(project)
    shutil.rmtree(place.settings.workspaces / str(project))
    endpoint = await runtime.ensure(spec_of(project, epoch=2, remade=True))
    assert endpoint.notices == (FILES_GONE,)
    assert (place.settings.workspaces / str(project)).is_dir()
    assert await runtime.alive() == {project: 2}


async def test_a_folder_that_is_deleted_is_noticed_without_being_asked_for(place: Place) -> None:
    runtime, project = await place.open(), uuid4()
    await runtime.ensure(spec_of(project))
    folder = place.settings.workspaces / str(project)
    shutil.rmtree(folder)
    await eventually(lambda: place.told.last(project) == ("stopped", None))
    assert place.troubles == [(project, f"The workspace's folder {folder} was deleted.", False)]
    assert await runtime.held() == {}
    assert not place.running()


async def test_a_folder_that_was_deleted_while_nobody_watched_is_noticed_by_open(place: Place) -> None:
    first, project = await place.open(), uuid4()
    await first.ensure(spec_of(project))
    await first.close()
    shutil.rmtree(place.settings.workspaces / str(project))
    second = await place.open()
    assert await second.held() == {}
    assert not place.running()


async def test_the_watch_over_processes_survives_whatever_befalls_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime, spec = await place.open(), spec_of(uuid4())
    await runtime.ensure(spec)
    opencode, _ = place.pids(spec.project_id)
    broken = ["once"]
    mend = LocalRuntime._mend

    def break_once(*args: Any) -> None:
        if broken:
            raise RuntimeError(broken.pop())
        mend(*args)

    monkeypatch.setattr(LocalRuntime, "_mend", break_once)
    await eventually(lambda: not broken)
    await kill(opencode)
    await eventually(lambda: place.pids(spec.project_id)[0] != opencode)
    assert "RuntimeError: once" in caplog.text
    assert BROKEN["watch over local workspaces"] >= 1
