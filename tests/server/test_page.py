"""The page for browsers: what it is allowed to do, and what it shows and does in a real browser."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from inferox.loading.cell import Cell
from inferox.loading.profile import Profile
from inferox.package import open_package
from inferox.server import ServerConfig
from inferox.server.page.state import describe_evidence
from tests.server.browser import CHROMIUM, Browser, browsing
from tests.server.running import RunningServer, running
from tests.server.test_api_keys import make
from tests.server.test_app import holding, run

HTML = {"accept": "text/html,application/xhtml+xml"}
KEY = {"authorization": "Bearer secret of alice"}

TASKS = ("classify", "embed", "image-classify", "rerank", "token-classify")

with_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: apt-get install chromium)")


def test_browsers_get_the_page_and_probes_what_they_got_before() -> None:
    async def test() -> None:
        async with holding() as held:
            page = await held.http.get("/", headers=HTML)
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            probe = await held.http.get("/", headers={"accept": "*/*"})
            assert "html" not in probe.headers["content-type"]
            assert probe.status_code == (await held.http.get("/health")).status_code

    run(test)


def test_pages_may_run_and_ask_nothing_but_their_own() -> None:
    async def test() -> None:
        async with holding() as held:
            for path in ("/", "/docs", "/page/page.js", "/page/style.css"):
                headers = (await held.http.get(path, headers=HTML)).headers
                rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
                assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
                assert (rules["connect-src"], rules["frame-ancestors"]) == ("'self'", "'none'")
                assert headers["x-content-type-options"] == "nosniff"

    run(test)


def test_figures_need_a_key_where_there_are_keys_and_files_none() -> None:
    async def test() -> None:
        async with holding(ServerConfig(api_keys=(make(),))) as held:
            for path in ("/", "/docs", "/page/page.js"):
                assert (await held.http.get(path, headers=HTML)).status_code == 200
            for path in ("/page/state", "/page/evidence"):
                assert (await held.http.get(path)).status_code == 401
                assert (await held.http.get(path, headers=KEY)).status_code == 200

    run(test)


def test_the_state_says_what_was_computed() -> None:
    async def test() -> None:
        async with holding() as held:
            held.model.may_go.set()
            await held.ask("abc", "d")
            state = (await held.http.get("/page/state")).json()
            assert state["answers"] == {"200": 1}
            (model,) = state["models"]
            assert (model["name"], model["task"], model["stats"]["rows"], model["stats"]["tokens"]) == (
                "model",
                "embed",
                2,
                4,
            )
            assert sum(model["stats"]["queue_s"]["counts"]) == 2
            assert (await held.http.get("/page/evidence")).json() == {"model": []}  # it does not come from a package

    run(test)


def test_the_evidence_has_the_times_measured_here(packages: dict[str, Path]) -> None:
    package = open_package(packages["embed"])
    first, second = (artifact.name for artifact in package.info.artifacts)
    cells = {first: tuple(Cell(rows, length, rows * length / 1000) for length in (8, 128, 256) for rows in (1, 4))}
    profile = Profile(package.digest, "here", 1, "default", {}, "2026-01-01T00:00:00+00:00", cells)
    assert [item["times"] for item in describe_evidence(package, None)] == [[], []]
    times = {item["artifact"]: item["times"] for item in describe_evidence(package, profile)}
    assert [(time["rows"], time["length"]) for time in times[first]] == [(1, 128), (4, 128)]
    assert [time["ms"] for time in times[first]] == pytest.approx([128, 512])
    assert [time["ms"] for time in times[second]] == [None, None]
    only = replace(profile, cells={first: (Cell(1, 512, 1.0),)})
    assert describe_evidence(package, only)[0]["times"] == [{"rows": 1, "length": 512, "ms": pytest.approx(1000)}]
    assert describe_evidence(package, replace(profile, cells={first: ()}))[0]["times"] == []


@pytest.fixture(scope="module")
def site(packages: dict[str, Path]) -> Iterator[RunningServer]:
    """A server with a model for each task, named after the task."""
    with running(*(f"{task}={packages[task]}" for task in TASKS), "--threads", "1") as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="module")
def browser(site: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser, which at the end has no errors, and has contacted only the server."""
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser
        assert browser.faults == []
        assert browser.asked
        assert all(address.startswith((f"{site.url}/", "data:,")) for address in browser.asked)


def show(browser: Browser, url: str, *, width: int = 1200, dark: bool = False) -> None:
    browser.show(f"{url}/", width=width, dark=dark)
    browser.wait_for(f"document.querySelectorAll('article details').length === {len(TASKS)}")


def compute(browser: Browser, task: str, text: str | None = None) -> str:
    """Runs a task in the playground, and returns what is shown."""
    browser.run(f"model.value = {json.dumps(task)}; model.dispatchEvent(new Event('change'))")
    if text is not None:
        browser.run(f"texts.value = {json.dumps(text)}")
    browser.run("run.click()")
    browser.wait_for("result.childElementCount > 0 && !run.disabled")
    shown = browser.run("result.innerText")
    assert isinstance(shown, str)
    return shown


@with_browser
def test_models_are_shown_with_their_evidence(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    assert browser.run("document.getElementById('status').textContent") == "ready"
    names = browser.run("[...document.querySelectorAll('article h3')].map((title) => title.firstChild.textContent)")
    assert tuple(names) == TASKS
    evidence = site.http.get("/page/evidence").json()
    shown = browser.run("[...document.querySelectorAll('article')].map((card) => card.textContent)")
    for name, card in zip(names, shown, strict=True):
        assert evidence[name]
        assert all(f"{item['artifact']}" in card and item["class"] in card for item in evidence[name])


@with_browser
@pytest.mark.parametrize(("width", "dark"), [(360, True), (768, False), (1280, True)])
def test_it_fits(site: RunningServer, browser: Browser, width: int, dark: bool) -> None:
    show(browser, site.url, width=width, dark=dark)
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    browser.wait_for("document.querySelectorAll('#charts svg').length === 6")
    assert browser.run("document.documentElement.scrollWidth") <= width
    colour = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (int(colour.removeprefix("rgb(").partition(",")[0]) < 128) == dark
    picture = browser.take_picture()
    assert struct.unpack(">I", picture[16:20]) == (width,)
    browser.show(f"{site.url}/docs", width=width, dark=dark)
    browser.wait_for("document.querySelectorAll('details').length > 20")
    groups = browser.run("[...document.querySelectorAll('h2')].map((heading) => heading.textContent)")
    assert (groups[:2], groups[-1]) == (["Server", "OpenAI"], "Page")
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width


@with_browser
def test_each_task_is_shown_in_its_own_way(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    texts = ["one cat", "two cats", "a rate"]
    compute(browser, "embed", "\n".join(texts))
    cells = browser.run("[...result.querySelectorAll('td')].map((cell) => cell.textContent).slice(1)")
    vectors = site.http.post("/embed", json={"model": "embed", "inputs": texts}).json()
    expected = [sum(a * b for a, b in zip(one, other, strict=True)) for one in vectors for other in vectors]
    assert [float(cell) for cell in cells] == pytest.approx(expected, abs=0.006)
    assert "artifact torch/safetensors/fp32" in compute(browser, "classify", "a cat")
    assert browser.run("result.querySelectorAll('.bars li').length") == 5
    compute(browser, "rerank", "\n".join(texts))
    answer = site.http.post("/rerank", json={"model": "rerank", "query": browser.run("query.value"), "texts": texts})
    ranked = browser.run("[...result.querySelectorAll('ol li')].map((item) => item.lastChild.textContent)")
    assert ranked == [texts[item["index"]] for item in answer.json()]
    assert re.sub(r" LABEL_\d", "", compute(browser, "token-classify")).startswith(
        "Ada Lovelace wrote to Charles Babbage"
    )
    draw = """new Promise((done) => {
        const drawing = Object.assign(document.createElement('canvas'), {width: 20, height: 20});
        drawing.toBlob((blob) => {
            const files = new DataTransfer();
            files.items.add(new File([blob], 'drawn.png'));
            image.files = files.files;
            done(true);
        });
    })"""
    browser.run("model.value = 'image-classify'; model.dispatchEvent(new Event('change'))")
    browser.run(draw)
    browser.run("run.click()")
    assert browser.wait_for("result.querySelectorAll('.bars li').length") == 4


@with_browser
def test_a_text_that_is_too_long_is_cut_and_said_to_be(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    for task in ("embed", "classify", "rerank", "token-classify"):
        assert "cut to the model's length: 1 text" in compute(browser, task, "cat " * 100)


@with_browser
def test_an_answer_is_not_shown_for_another_model(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    compute(browser, "embed", "a cat")
    browser.run("model.value = 'embed'; model.dispatchEvent(new Event('change')); run.click()")
    browser.run("model.value = 'classify'; model.dispatchEvent(new Event('change'))")
    assert browser.run("run.disabled") is False
    browser.run("new Promise((done) => setTimeout(done, 500))")
    assert browser.run("result.childElementCount") == 0
    assert compute(browser, "classify", "a cat")


@with_browser
def test_evidence_that_could_not_be_fetched_is_asked_for_again(site: RunningServer, browser: Browser) -> None:
    browser.call("Network.setBlockedURLs", urls=["*/page/evidence"])
    try:
        browser.show(f"{site.url}/")
        browser.wait_for("document.querySelectorAll('article').length")
        browser.wait_for("document.querySelectorAll('#charts svg').length === 6")
        assert browser.run("document.querySelectorAll('article details').length") == 0
    finally:
        browser.call("Network.setBlockedURLs", urls=[])
    browser.wait_for(f"document.querySelectorAll('article details').length === {len(TASKS)}")


@with_browser
def test_numbers_have_three_digits_and_counts_no_fractions(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    numbers = [0, 2, 45, 1.5, 0.0123, 12.34, 123.4, 1234.5, 12_345]
    shown = browser.run(f"import('/page/elements.js').then(({{ digits }}) => {numbers}.map(digits))")
    assert shown == ["0", "2", "45", "1.5", "0.012", "12.3", "123", "1,235", "12,345"]


@with_browser
def test_a_page_is_locked_until_it_has_a_key(packages: dict[str, Path], tmp_path: Path) -> None:
    key = "schlüssel-ключ"
    with (
        running(f"embed={packages['embed']}", "--api-key", f"a={sha256(key.encode()).hexdigest()}") as server,
        browsing(tmp_path) as browser,
    ):
        server.wait_until_ready()
        status, parts = "document.getElementById('status').textContent", "[...document.querySelectorAll('main > *')]"
        shown = f"{parts}.filter((part) => part.checkVisibility()).map((part) => part.tagName)"
        browser.show(f"{server.url}/")
        browser.wait_for(f"{status} === 'locked'")
        assert browser.run(shown) == ["FORM"]
        assert browser.run("document.activeElement.id") == "key"
        for given, said in (("another", "this API key is not known"), (key, "ready")):
            browser.run(f"key.value = {json.dumps(given)}; document.querySelector('#unlock button').click()")
            browser.wait_for(f"{status} === {json.dumps(said)}")
        assert browser.run(shown) == ["SECTION"] * 3
        browser.wait_for("document.querySelectorAll('article details').length")
        assert "1.00" in compute(browser, "embed", "a cat")
        server.process.kill()
        browser.wait_for(f"{status} === 'the server does not answer'")
        assert compute(browser, "embed", "a cat") == "the server does not answer"


@with_browser
def test_trials_are_shown_in_whole_numbers(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    trial = {"kind": "canary", "artifact": "a/b", "share": 0.3, "rolled_back": None, "drift_limit": 1e-4}
    trial |= {"requests": 17, "errors": 0, "compared": 12_345, "dropped": 100, "decisions": 25, "same_decisions": 24}
    trial |= {"drift_mean": 0, "cosine_min": 1.0, "max_abs": 2.5e-7}
    models = json.dumps([{"name": "embed", "stats": {"trials": [trial]}}])
    shown = browser.run(
        f"""(async () => {{
            (await import("/page/trials.js")).showTrials({models});
            return document.querySelector('.trials[data-model=embed]').innerText;
        }})()"""
    )
    for text in (
        "a/b 30 % of requests",
        "17, of which 0 failed",
        "12,345, left out 100",
        "24 of 25",
        "\n0\n",
        "2.5e-7",
    ):
        assert text in shown


@with_browser
def test_what_is_typed_never_becomes_html_and_errors_are_said(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    text = "<img src=x onerror='window.harmed = true'><b>bold</b>"
    for task in ("embed", "classify", "rerank", "token-classify"):
        compute(browser, task, text)
        assert "<b>bold" in browser.run("result.textContent").replace("\u200b", "") or task == "token-classify"
        assert browser.run("result.querySelectorAll('img').length") == 0
    assert browser.run("window.harmed") is None
    assert compute(browser, "embed", "\n".join(["x"] * 2049)).startswith("inputs may have 2,048 texts")


@with_browser
def test_the_keyboard_reaches_everything(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    reached = set()
    for _ in range(25):
        browser.press("Tab", 9)
        reached.add(browser.run("document.activeElement.id || document.activeElement.tagName"))
    assert {"A", "SUMMARY", "model", "texts", "run", "shown"} <= reached
    browser.run("texts.focus()")
    browser.press("Enter", 13, modifiers=2)
    browser.wait_for("result.querySelectorAll('.bars li').length")


@with_browser
def test_charts_follow_what_is_computed(site: RunningServer, browser: Browser) -> None:
    show(browser, site.url)
    browser.run("shown.value = 'embed'; shown.dispatchEvent(new Event('change'))")
    browser.wait_for("document.querySelectorAll('#charts svg').length === 6")
    site.http.post("/embed", json={"model": "embed", "inputs": ["a cat", "a dog"]})
    throughput = "document.querySelector('#charts svg polyline')?.getAttribute('points') ?? ''"
    top = "new Set(" + throughput + ".split(' ').map((point) => point.split(',')[1])).size > 1"
    browser.wait_for(top)
    # A single batch without neighbours is a visible point, not an invisible line.
    browser.wait_for("document.querySelector('#charts svg circle')?.getAttribute('r') === '2'")
    assert browser.run("document.querySelector('#charts svg').getAttribute('aria-label')").startswith(
        "Throughput: rows/s "
    )
