"""The API's description of itself, and the page that shows it without the internet."""

from __future__ import annotations

import re
from typing import Any

from tests.api.conftest import Connect

SPEC = {
    ("post", "/projects/{project_id}/tasks/{task_id}/execute"): {
        "200", "400", "401", "403", "404", "409", "502",
    },
    ("post", "/projects/{project_id}/tasks/{task_id}/stop"): {"200", "400", "401", "403", "404"},
    ("get", "/projects/{project_id}/tasks/{task_id}/output"): {"200", "400", "401", "403", "404", "502"},
    ("get", "/projects/{project_id}/tasks/{task_id}/sessions"): {"200", "401", "403", "404"},
    ("get", "/projects/{project_id}/sessions"): {"200", "401", "403", "404"},
    ("post", "/auth/setup"): {"201", "409"},
    ("post", "/auth/login"): {"200", "401", "429"},
    ("post", "/auth/logout"): {"200"},
    ("get", "/auth/me"): {"200", "401"},
    ("post", "/projects"): {"201", "400", "401"},
    ("get", "/projects/{project_id}"): {"200", "401", "403", "404"},
    ("patch", "/projects/{project_id}"): {"200", "400", "401", "403", "404"},
    ("delete", "/projects/{project_id}"): {"204", "400", "401", "403", "404", "409"},
    ("post", "/projects/{project_id}/tasks"): {"201", "400", "401", "403", "404"},
    ("patch", "/projects/{project_id}/tasks/{task_id}"): {"200", "400", "401", "403", "404", "409"},
    ("delete", "/projects/{project_id}/tasks/{task_id}"): {"204", "401", "403", "404", "409"},
    ("post", "/projects/{project_id}/tasks/{task_id}/move"): {"200", "400", "401", "403", "404", "409"},
    ("get", "/projects/{project_id}/files"): {"200", "400", "401", "404"},
    ("get", "/projects/{project_id}/files/content"): {"200", "400", "401", "404", "413"},
    ("get", "/projects/{project_id}/files/outputs/{name}"): {"200", "400", "401", "404", "502"},
    ("get", "/providers"): {"200", "401", "403"},
    ("post", "/providers"): {"201", "400", "401", "403", "409"},
    ("get", "/providers/{provider}"): {"200", "401", "403", "404"},
    ("patch", "/providers/{provider}"): {"200", "400", "401", "403", "404", "409"},
    ("delete", "/providers/{provider}"): {"204", "401", "403", "404", "409"},
    ("get", "/health"): {"200"},
    ("get", "/ready"): {"200", "503"},
    ("get", "/front"): {"204", "400"},
}  # fmt: skip


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return every described operation."""
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_promised_route_is_there_with_its_errors(document: dict[str, Any]) -> None:
    for (method, path), statuses in SPEC.items():
        assert statuses <= document["paths"][path][method]["responses"].keys(), (method, path)


def test_every_error_has_the_same_shape_and_an_example(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and (path, status) != ("/ready", "503"):
                content = answer["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)
                assert content["example"].keys() == {"error", "code"}
    assert "422" not in str(document)
    assert document["components"]["schemas"]["ErrorBody"]["required"] == ["error", "code"]


def test_operations_are_named_and_described(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
    for _, path, operation in operations(document):
        assert operation["description"], path
        assert operation["tags"], path
        open_to_all = path in ("/health", "/ready", "/front", "/auth/setup", "/auth/login", "/auth/reset")
        assert ("security" not in operation) == open_to_all, path
    assert document["components"]["securitySchemes"].keys() == {"token", "cookie"}
    assert document["servers"] == [{"url": "/api"}]


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    for name in ("NewTask", "NewProject", "SetUp", "Credentials", "MoveTask", "NewMember", "NewProvider"):
        properties = document["components"]["schemas"][name]["properties"]
        assert any("example" in schema for schema in properties.values()), name


async def test_the_page_needs_no_other_host(connect: Connect) -> None:
    client = connect()
    page = await client.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
    named = {first or second for first, second in addresses}
    assert {"/api/openapi.json", "/api/docs/swagger-ui-bundle.js", "/api/docs/swagger-ui.css"} <= named
    assert all(address.startswith("/") for address in named)
    for address in named - {"/favicon.ico"}:
        answer = await client.get(f"http://board.test{address}")
        assert answer.status_code == 200, address
        assert len(answer.content) > 10_000
    assert "SwaggerUIBundle" in (await client.get("/docs/swagger-ui-bundle.js")).text
