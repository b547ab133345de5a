"""What most tests stand on: a migrated database, the app's parts around a scripted workspace.

Migrating takes its time, so it is done once for each kind of database; each test
gets a copy of its own. What concerns storage or the engine runs on both kinds:
its `conftest.py`, or the test module, has `database_kind` say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import argon2
import pytest
from alembic.config import Config

from alembic import command
from tests import postgres, redis_server
from tests.certificates import make_certificate
from tests.fakes import FakeRuntime
from vibe_app.accounts.roles import Actor
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.settings import Settings, load_settings
from vibe_app.wiring import Services, build, running

ROOT = Path(__file__).parent.parent
SQLITE, POSTGRESQL = BOTH = ("sqlite", "postgresql")


def pytest_configure() -> None:
    """Let what tests start by themselves find ripgrep where set-up may have brought it."""
    os.environ["PATH"] = os.pathsep.join([str(load_settings().tools.resolve()), os.environ["PATH"]])


def alembic_config(url: str) -> Config:
    """Return what Alembic needs to work on the database at `url`."""
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = url
    return config


def in_thread(call: partial[None]) -> None:
    """Run a command of Alembic, whose `env.py` has an event loop of its own, beside a running loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with every migration applied. Copy it; do not use it."""
    path = tmp_path_factory.mktemp("migrated") / "vibe.db"
    in_thread(partial(command.upgrade, alembic_config(f"sqlite+aiosqlite:///{path}"), "head"))
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server for all tests together; each makes databases of its own on it."""
    binaries = postgres.find()
    assert binaries, "There is no PostgreSQL: run `make test`, which brings one"
    server = postgres.Server(binaries)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def redis() -> Iterator[redis_server.Server]:
    """A Redis server for all tests together; each takes a database of its own on it."""
    binary = redis_server.find()
    assert binary, "There is no Redis: run `make test`, which brings one"
    server = redis_server.Server(binary)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: postgres.Server) -> str:
    """The name of a database with every migration applied. Copy it; do not use it."""
    name = "migrated"
    postgres_server.execute("CREATE DATABASE {}", name)
    in_thread(partial(command.upgrade, alembic_config(postgres_server.url(name)), "head"))
    return name


@pytest.fixture
def database_kind() -> str:
    """What database a test runs on; where it matters, one after the other: `BOTH`."""
    return SQLITE


@pytest.fixture
def empty_database(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a new database without any table."""
    if database_kind == SQLITE:
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    server: postgres.Server = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url


@pytest.fixture
def template(database_kind: str, request: pytest.FixtureRequest) -> Path | str:
    """What the database of a test is a copy of: an SQLite file, or the name of a database on PostgreSQL."""
    return request.getfixturevalue("migrated" if database_kind == SQLITE else "migrated_template")


@pytest.fixture
def database_url(template: Path | str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a new database with every table."""
    if isinstance(template, Path):
        shutil.copy(template, tmp_path / "vibe.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'vibe.db'}"
        return
    server: postgres.Server = request.getfixturevalue("postgres_server")
    with server.database(template) as url:
        yield url


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real argon2id, but with the least of work: tests make hundreds of accounts."""
    hash_quickly(monkeypatch)


def hash_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with the least of work."""
    quick = partial(argon2.PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("vibe_app.accounts.passwords.PasswordHasher", quick)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings with a migrated database. Override to change them."""
    return settings_for(tmp_path, database_url)


def settings_for(data: Path, database_url: str) -> Settings:
    """Return the settings of tests for a database; all have the same key."""
    key = "a key for tests only, thirty-two bytes"
    # One at a time in a project, so that a second session waits in line.
    return load_settings(data=data, database_url=database_url, secret_key=key, sandbox="off", project_limit=1)


@pytest.fixture
def runtime() -> FakeRuntime:
    """Where workspaces live. Override it for another one."""
    return FakeRuntime()


@pytest.fixture
async def parts(settings: Settings, runtime: FakeRuntime) -> AsyncIterator[Services]:
    """The parts of a running app, engine included; `services()` returns them."""
    # On a busy machine the usual tenth of a second would let an instant workspace pass for a starting one.
    built = build(settings, runtime, RetryPolicy(notice=5.0))
    runtime.on_status = built.reconciler.told
    async with running(built) as parts:
        yield parts
    await runtime.destroy()


@pytest.fixture
async def resting(settings: Settings, runtime: FakeRuntime) -> AsyncIterator[Services]:
    """The parts without their engine: sessions stay `pending`."""
    built = build(settings, runtime)
    yield built
    await built.database.close()


@pytest.fixture
async def owner(resting: Services) -> Actor:
    """A member with an account."""
    user = await resting.users.add(None, "owner@example.org", "Owner", "correct horse battery")
    return Actor(user.id, user.role, user.email, user.name)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))
