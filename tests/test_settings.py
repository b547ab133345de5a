"""The settings: what is accepted, what is refused with which sentence, and that the README lists them all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vibe_app.settings import Settings, SettingsError, load_settings, variable

README = Path(__file__).resolve().parent.parent / "README.md"


def table() -> str:
    """Return the README's table of settings as it should be."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default == "" else f"`{field.default}`"
        rows.append(f"| `{variable(name)}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_the_readme_lists_every_setting_as_it_is():
    assert table() in README.read_text()


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())


def test_all_faults_are_told_at_once(monkeypatch):
    monkeypatch.setenv("VIBE_PORT", "many")
    monkeypatch.setenv("VIBE_MODEL", "gpt")
    monkeypatch.setenv("VIBE_DATABASE_URL", "mysql://here")
    with pytest.raises(SettingsError) as told:
        load_settings()
    lines = str(told.value).splitlines()
    assert len(lines) == 3
    assert any(line.startswith("VIBE_MODEL: must look like provider/model") for line in lines)


def test_an_option_wins_over_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("VIBE_PORT", "9000")
    assert load_settings(port=9001, data=tmp_path).port == 9001
    assert load_settings(port=None, data=tmp_path).port == 9000


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"])
def test_every_spelling_of_postgresql_reaches_psycopg(url):
    assert load_settings(database_url=url).database == "postgresql+psycopg://u@h/d"


def test_the_signing_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    settings = load_settings(data=tmp_path / "data")
    key = settings.signing_key()
    assert len(key) >= 32
    assert settings.signing_key() == key
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_key_of_the_model_is_the_provider_s_usual_one_unless_given(monkeypatch, tmp_path):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "theirs")
    assert load_settings(model="anthropic/claude", data=tmp_path).model_key == "theirs"
    assert load_settings(model="anthropic/claude", model_api_key="ours", data=tmp_path).model_key == "ours"
    assert load_settings(data=tmp_path).rehearsal


def test_several_workers_need_a_shared_database_and_a_shared_state(tmp_path):
    with pytest.raises(SettingsError) as told:
        load_settings(workers=2, data=tmp_path)
    assert str(told.value).splitlines() == [
        "VIBE_DATABASE_URL must name a PostgreSQL where VIBE_WORKERS is 2",
        "VIBE_REDIS_URL must name a Redis where VIBE_WORKERS is 2",
    ]
    database, redis = "postgresql://u@h/d", "redis://h"
    with pytest.raises(SettingsError, match=r"^VIBE_REDIS_URL must name a Redis where VIBE_WORKERS is 3$"):
        load_settings(workers=3, database_url=database, data=tmp_path)
    assert load_settings(workers=2, database_url=database, redis_url=redis, data=tmp_path).workers == 2


def test_a_redis_is_named_by_its_address(tmp_path):
    with pytest.raises(SettingsError, match=r"^VIBE_REDIS_URL: must start with redis://"):
        load_settings(redis_url="localhost:6379", data=tmp_path)


def test_processes_that_start_at_once_sign_with_one_key(tmp_path):
    data = tmp_path / "data"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_settings(data=data).signing_key(), range(8)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    assert [path.name for path in data.iterdir()] == ["secret.key"]


def test_workspaces_as_pods_need_an_image(monkeypatch, tmp_path):
    monkeypatch.delenv("OPENCODE_SERVER_IMAGE", raising=False)
    with pytest.raises(SettingsError, match=r"^OPENCODE_SERVER_IMAGE must name the image"):
        load_settings(runtime="kubernetes", data=tmp_path)
    monkeypatch.setenv("OPENCODE_SERVER_IMAGE", "registry.example.org/vibe:1")
    settings = load_settings(runtime="kubernetes", data=tmp_path)
    assert settings.opencode_server_image == "registry.example.org/vibe:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("opencode_limits", "2 CPU"),
        ("opencode_requests", "cpu=250m,disk=1Gi"),
        ("kubernetes_storage", "ten gigabytes"),
        ("kubernetes_namespace", "Vibe_Workspaces"),
    ],
)
def test_what_the_cluster_would_refuse_is_told_at_the_start(name, value):
    with pytest.raises(SettingsError, match=variable(name)):
        load_settings(**{name: value})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"model": "foo/bar"},
            r"^VIBE_MODEL names a provider that is not known here, foo: set VIBE_MODEL_BASE",
        ),
        ({"model": "openai/{env:HOME}"}, r"^VIBE_MODEL: must look like provider/model"),
        (
            {"model_base_url": "http://localhost:11434/v1"},
            r"^VIBE_MODEL_BASE_URL has no use without VIBE_MODEL",
        ),
        ({"model": "a/b", "model_base_url": "localhost:11434"}, r"^VIBE_MODEL_BASE_URL: must be the address"),
        ({"model": "a/b", "model_base_url": "ftp://h/v1"}, r"^VIBE_MODEL_BASE_URL: must be the address"),
        ({"model": "a/b", "model_base_url": "http://[::1/v1"}, r"^VIBE_MODEL_BASE_URL: must be the address"),
        (
            {"model": "a/b", "model_base_url": "http://h:99999/v1"},
            r"^VIBE_MODEL_BASE_URL: must be the address",
        ),
        ({"model": "a/b", "model_base_url": "http://u:p@h/v1"}, r"^VIBE_MODEL_BASE_URL: must be the address"),
        ({"model": "a/b", "model_base_url": "http://h/v1/chat/completions"}, r"must end before /chat/compl"),
        (
            {"lease": 4.0, "heartbeat": 3.0},
            r"^VIBE_HEARTBEAT \(3 s\) must be at most half of VIBE_LEASE \(4 s\)",
        ),
        ({"database_url": "postgresql://u@h:port/d"}, r"^VIBE_DATABASE_URL: must be a whole address"),
        ({"redis_url": "redis://h:port"}, r"^VIBE_REDIS_URL: must be a whole address"),
        ({"secret_key": "short"}, r"^VIBE_SECRET_KEY: must have at least 32 characters"),
        ({"secret_key": " " * 40}, r"^VIBE_SECRET_KEY: must have at least 32 characters"),
        ({"kubernetes_storage": "0Gi"}, r"^VIBE_KUBERNETES_STORAGE: must be a size"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_set(given, sentence, tmp_path):
    with pytest.raises(SettingsError, match=sentence):
        load_settings(data=tmp_path, **given)


def test_a_secret_that_cannot_be_used_is_not_repeated(tmp_path):
    with pytest.raises(SettingsError) as told:
        load_settings(data=tmp_path, secret_key="hunter2", database_url="mysql://u:hunter2@h/d")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"opencode_requests": "cpu=3"}, "VIBE_OPENCODE_REQUESTS must not promise more cpu than"),
        ({"opencode_requests": "memory=3000Mi"}, "VIBE_OPENCODE_REQUESTS must not promise more memory than"),
    ],
)
def test_a_pod_that_the_cluster_would_refuse_is_told_at_the_start(given, sentence, tmp_path):
    with pytest.raises(SettingsError, match=sentence):
        load_settings(data=tmp_path, runtime="kubernetes", opencode_server_image="vibe", **given)


def test_a_provider_s_model_lacks_a_key_only_where_none_is_set(monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert load_settings(data=tmp_path, model="openai/gpt-5").lacking_key == "OPENAI_API_KEY"
    assert load_settings(data=tmp_path, model="openai/gpt-5", model_base_url="http://h/v1").lacking_key == ""
    assert load_settings(data=tmp_path).lacking_key == ""
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert load_settings(data=tmp_path, model="openai/gpt-5").lacking_key == ""
