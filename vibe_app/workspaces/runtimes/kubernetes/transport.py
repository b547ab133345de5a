"""Requests to a cluster's API with the credentials of a kubeconfig or of the app's own pod.

The only importer of `kubernetes`, which is without types: whatever leaves this module has one.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import OpenApiException
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from vibe_app.errors import Unavailable

FAILURES = (aiohttp.ClientError, TimeoutError, OSError, OpenApiException, ConfigException)
"""What `Transport.send` raises where there is no answer."""


class Transport:
    """The way to one API server.

    Args:
        kubeconfig: A kubeconfig file, or None for the service account of the app's own pod.
    """

    def __init__(self, kubeconfig: Path | None) -> None:
        self._kubeconfig = kubeconfig
        self._client: ApiClient | None = None

    @property
    def host(self) -> str:
        """The server's address, in words where it is not known yet."""
        return str(self._client.configuration.host) if self._client is not None else "its address"

    async def open(self) -> None:
        """Read the address and the credentials.

        Raises:
            Unavailable: There are none that can be used.
        """
        configuration = Configuration()
        try:
            if self._kubeconfig is None:
                load_incluster_config(configuration)
            else:
                await load_kube_config(
                    str(self._kubeconfig), client_configuration=configuration, persist_config=False
                )
        except (ConfigException, OSError) as error:
            where = self._kubeconfig or "the service account of this pod"
            raise Unavailable(
                f"The cluster's address and credentials cannot be read from {where}: {error}."
                " Set VIBE_KUBERNETES_CONFIG to a kubeconfig file, or run Vibe in the cluster.",
                "cluster_config",
            ) from error
        # Its own would repeat some requests silently and give others up at once.
        configuration.retries = None
        self._client = ApiClient(configuration)
        self._client.user_agent = "vibe-board"

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def send(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        headers: dict[str, str],
        body: Mapping[str, Any] | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send a request and return its answer, unread, whatever its status.

        Raises:
            Exception: One of `FAILURES`.
        """
        if self._client is None:
            raise RuntimeError("the cluster is used before it was opened")
        request = await self._client.param_serialize(
            method,
            path,
            query_params=query,
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._client.call_api(*request, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response
