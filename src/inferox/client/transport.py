"""HTTP requests with retries."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from inferox.client.config import ClientConfig
from inferox.client.deadline import Deadline
from inferox.client.failure import read_failure
from inferox.client.retrying import choose_wait_s, may_retry, read_retry_after
from inferox.core import ConfigError, DeadlineExceededError, InferoxError, ResponseError, UnreachableError, first_line
from inferox.machine.server_address import parse_server_address

if TYPE_CHECKING:
    import httpx2

Content = tuple[bytes, Mapping[str, str]]
"""The body of a request, and its own headers."""


_POLL_S = 0.2
"""The interval between probes while waiting, in seconds."""


@dataclass(frozen=True)
class _Refused:
    """The failure of a try.

    Attributes:
        error: The error to raise after the last try.
        is_final: Whether a further try would fail as well.
        asked_s: The wait that the server requests, in seconds; ``None`` if it does not say.
    """

    error: InferoxError
    is_final: bool
    asked_s: float | None = None


class Transport:
    """Sends requests to a server, a limited number at a time.

    Args:
        url: The address of the server.
        config: The settings.

    Raises:
        ConfigError: If httpx2 is missing, the address is invalid, or a certificate cannot be used.
    """

    def __init__(self, url: str, config: ClientConfig) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise ConfigError("the client needs httpx2", hint="pip install 'inferox[client]'") from error
        self._httpx = httpx2
        self.url = parse_server_address(url).geturl().rstrip("/")
        self._config = config
        self._slots = asyncio.Semaphore(config.concurrency)
        headers = {"user-agent": "inferox", **config.headers}
        if config.api_key is not None:
            headers["authorization"] = f"Bearer {config.api_key}"
        self._http = httpx2.AsyncClient(
            headers=headers,
            verify=_make_tls(config),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=config.concurrency),
            timeout=None,
        )

    async def ask(self, method: str, path: str, *, outer: Deadline | None = None) -> httpx2.Response:
        """Sends a request without a body; see ``send``.

        Args:
            method: The method.
            path: The path.
            outer: The deadline of the call; ``None`` for none.

        Raises:
            InferoxError: See ``send``.
        """
        return await self.send(method, path, lambda _left_s: (b"", {}), outer=outer)

    async def send(
        self, method: str, path: str, write: Callable[[float], Content], *, outer: Deadline | None = None
    ) -> httpx2.Response:
        """Sends a request, and retries it if it is temporarily refused or its connection breaks.

        Args:
            method: The method.
            path: The path.
            write: Makes the body and its headers, given the seconds left for the answer.
            outer: The deadline of the call; ``None`` for none.

        Returns:
            The response, whose status is 2xx.

        Raises:
            DeadlineExceededError: If there is no response in time.
            UnreachableError: If the server cannot be reached.
            InferoxError: If the server reports an error.
        """
        async with self._slots:
            deadline = Deadline(self._config.timeout_s, outer)
            earlier: InferoxError | None = None
            tries = 0
            while True:
                tries += 1
                found = await self._try(method, path, write, deadline, earlier)
                if not isinstance(found, _Refused):
                    return found
                earlier = found.error
                wait_s = choose_wait_s(tries, found.asked_s, random.random())  # noqa: S311 - no secret
                if found.is_final or tries > self._config.retries or wait_s >= deadline.left_s:
                    raise found.error
                await asyncio.sleep(wait_s)

    async def says_yes(self, path: str) -> bool:
        """Returns True if a path answers with 2xx in time; does not retry.

        Args:
            path: The path of a probe.
        """
        try:
            found = await self._try("GET", path, lambda _left_s: (b"", {}), Deadline(self._config.timeout_s), None)
        except DeadlineExceededError:
            return False
        return not isinstance(found, _Refused)

    async def wait_for_yes(self, path: str, timeout_s: float) -> None:
        """Waits until a path answers with 2xx.

        Args:
            path: The path of a probe.
            timeout_s: The longest wait, in seconds.

        Raises:
            DeadlineExceededError: If it still does not then.
        """
        deadline = Deadline(timeout_s)
        try:
            async with asyncio.timeout(deadline.left_s):
                while not await self.says_yes(path):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise DeadlineExceededError(f"{self.url} was not ready within {timeout_s:g} s") from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _try(
        self,
        method: str,
        path: str,
        write: Callable[[float], Content],
        deadline: Deadline,
        earlier: InferoxError | None,
    ) -> httpx2.Response | _Refused:
        """Sends a request once; ``earlier`` is the error of the try before."""
        if self._http.is_closed:
            raise ConfigError("this client is closed", hint="make a new one")
        left_s = max(deadline.left_s, 0.0)
        content, headers = write(left_s)
        try:
            async with asyncio.timeout(left_s):
                response = await self._http.request(method, f"{self.url}{path}", content=content, headers=headers)
        except TimeoutError:
            message = f"{self.url} did not answer within the request's time limit"
            told = "" if earlier is None else f"; the try before it failed: {earlier}"
            raise DeadlineExceededError(f"{message}{told}", hint="see timeout_s and deadline_s") from earlier
        except self._httpx.RequestError as error:
            return self._explain(error)
        if response.is_success:
            return response
        asked_s = read_retry_after(response.headers, datetime.now(UTC))
        failure = read_failure(response.status_code, response.content, asked_s)
        return _Refused(failure, not may_retry(response.status_code, response.headers), asked_s)

    def _explain(self, error: httpx2.RequestError) -> _Refused:
        said = first_line(error)
        if not isinstance(error, self._httpx.TransportError):
            return _Refused(ResponseError(f"the answer of {self.url} cannot be read: {said}"), is_final=True)
        if _is_of_certificate(error):
            hint = "ca_file is for authorities of your own"
            return _Refused(UnreachableError(f"{self.url} is not trusted: {said}", hint=hint), is_final=True)
        is_final = isinstance(error, self._httpx.LocalProtocolError | self._httpx.UnsupportedProtocol)
        return _Refused(UnreachableError(f"{self.url} cannot be reached: {type(error).__name__}: {said}"), is_final)


def _make_tls(config: ClientConfig) -> ssl.SSLContext | bool:
    if config.ca_file is None and config.cert_file is None:
        return True
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.cert_file is not None:
            # OpenSSL would ask for the password of a key on the terminal.
            context.load_cert_chain(config.cert_file, config.key_file, password=_refuse_password)
    except (OSError, ValueError) as error:
        files = ", ".join(str(file) for file in (config.ca_file, config.cert_file, config.key_file) if file)
        raise ConfigError(f"the certificate in {files} cannot be used: {first_line(error)}") from error
    return context


def _refuse_password() -> str:
    raise ValueError("its key has a password")


def _is_of_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
