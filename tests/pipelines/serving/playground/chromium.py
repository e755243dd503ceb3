"""A page in headless Chromium, driven by the DevTools Protocol: what it asks of whom, and what it complains of."""

from __future__ import annotations

import asyncio
import base64
import itertools
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from ...report.test_browser import BROWSER, FLAGS

PATIENCE = 120  # seconds that a page may take for anything


class Page:
    """One page of a browser. `requests` are the addresses that it asked for, `complaints` its errors."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket, self._numbers = socket, itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
                continue
            about = said["params"]
            if said["method"] == "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            elif said["method"] == "Network.webSocketCreated":
                self.requests.append(about["url"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(about["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded" and about["entry"]["level"] == "error":
                self.complaints.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
            elif said["method"] == "Runtime.consoleAPICalled" and about["type"] == "error":
                self.complaints.append(str([each.get("value", each.get("description")) for each in about["args"]]))

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol; its result."""
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        said = await asyncio.wait_for(self._waiting[number], PATIENCE)
        assert "error" not in said, f"{method}: {said['error']}"
        return said["result"]

    async def value(self, script: str) -> Any:
        """What a line of JavaScript gives in the page."""
        made = await self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in made, f"{script}: {made['exceptionDetails']}"
        return made["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait for a line of JavaScript to be true."""
        end = time.monotonic() + PATIENCE
        while not await self.value(f"Boolean({script})"):
            shown = await self.value("document.body?.innerText")
            assert time.monotonic() < end, f"never true: {script}\n{self.complaints}\n{shown}"
            await asyncio.sleep(0.1)

    async def open(self, address: str, width: int) -> None:
        """Go there, with a window of this width."""
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=width < 600
        )
        await self.command("Page.navigate", url=address)

    async def press(self, script: str) -> None:
        """Click in the middle of the element that JavaScript finds, with the mouse."""
        x, y = await self.value(
            f"(() => {{ const found = {script}; found.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            " const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        await self.stroke((x, y))

    async def stroke(self, *places: tuple[float, float]) -> None:
        """Press the mouse at the first place, go over the others, let it go at the last."""
        for name, (x, y) in [("mousePressed", places[0]), *(("mouseMoved", place) for place in places)]:
            await self.command("Input.dispatchMouseEvent", type=name, x=x, y=y, button="left", buttons=1, clickCount=1)
        x, y = places[-1]
        await self.command("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)

    async def type(self, text: str) -> None:
        """Enter text where the focus is."""
        await self.command("Input.insertText", text=text)

    async def key(self, name: str, code: int) -> None:
        """Press a key by its name and its number on Windows."""
        for kind in ("keyDown", "keyUp"):
            await self.command("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    async def screenshot(self, file: Path) -> None:
        """The whole page as PNG."""
        size = (await self.command("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        made = await self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(made["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A new page of a new browser, which is ended at the end; `folder` is for its profile."""
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={folder / 'profile'}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told, end = folder / "profile" / "DevToolsActivePort", time.monotonic() + PATIENCE
        while not told.is_file() or len(told.read_text().splitlines()) < 2:
            assert time.monotonic() < end and process.poll() is None, "the browser did not start"
            await asyncio.sleep(0.1)
        port = told.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                address = (await answer.json())["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.command(f"{domain}.enable")
                yield page
    finally:
        process.kill()
        process.wait()
