"""Whose certificates a gateway trusts."""

from __future__ import annotations

from pathlib import Path

from tests.workspace_services.gateway.gate import Upstream, gateway, provider


async def test_a_provider_with_an_authority_of_its_own_is_trusted_where_that_is_named(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    async with Upstream(certificate) as upstream:
        for named, status in (({}, 502), ({"SSL_CERT_FILE": str(certificate[0])}, 200)):
            async with gateway(tmp_path, **named) as gate:
                await gate.configure(provider(upstream))
                await gate.session("a", "ses_1")
                answer = await gate.ask()
                assert (answer.status_code, len(upstream.asked)) == (status, status == 200), answer.text
