"""The page in a real browser: every chart drawn, nothing fetched, nothing wrong, by day, by night, on a phone."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from hcsac.data.dataset import Dataset
from hcsac.evaluation import render
from hcsac.experiments import write_report
from hcsac.experiments.study_run import StudyRun
from hcsac.training import train
from tests.conftest import slide_episodes
from tests.evaluation import drawing  # noqa: F401 (its tasks)
from tests.experiments.report.conftest import NASTY, make_study
from tests.training.conftest import settings

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip
DRAWN = "return document.documentElement.dataset.drawn"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of the study, with a real run whose policy is seen in a video."""
    output = tmp_path_factory.mktemp("browser") / "study"
    record = make_study(output)
    made = settings("bc", updates=6)
    data = Dataset.from_episodes({"drawn": slide_episodes("slide-left")})
    train("bc", data, output / "seen", made, seeds=(0,), progress=False)
    seen = StudyRun("seen", "plain", "bc", ("drawn",), (), made, (0,), "correct", output / "seen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "find_backend", lambda: "disabled")
        return write_report(record._replace(runs=[*record.runs, seen])).page


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    programs = {name: shutil.which(name) or shutil.which(f"{name}-browser") for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in programs.items() if path is None]:
        pytest.skip(f"needs {' and '.join(missing)} on the PATH (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'hcsac[dev]'")
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=programs["chromedriver"])
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def show(browser, page, scheme="light", width=1200):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    prefer(browser, scheme)
    browser.get(page.as_uri())
    wait(lambda: browser.execute_script(DRAWN))


def prefer(browser, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return found


def count_traces(browser):
    """For every chart how many traces it was given and how many it draws."""
    return browser.execute_script("""
        return [...document.querySelectorAll(".chart")].map(box => [
            JSON.parse(box.querySelector("script").textContent).data.length,
            box.querySelectorAll(".main-svg .scatterlayer .trace").length,
        ])""")


def test_every_chart_is_drawn_and_nothing_is_wrong_or_fetched(browser, page):
    show(browser, page)
    counts = count_traces(browser)
    assert len(counts) == 2 + 2 + 5 + 8 + 5
    assert all(given == drawn > 0 for given, drawn in counts), counts
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in urls
    # chrome: is the empty tab that the browser begins with
    elsewhere = {url for url in urls if url.split(":")[0] not in ("data", "blob", "chrome")}
    assert elsewhere == {page.as_uri()}


def test_no_button_sends_anything_away(browser, page):
    show(browser, page)
    titles = browser.execute_script("return [...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    assert set(titles) == {"Download plot as a PNG", "Reset axes"}


def test_pointing_at_a_dot_shows_its_value(browser, page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    show(browser, page)
    chart = browser.find_element(By.CSS_SELECTOR, "#curves ~ .charts .chart")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    (dot, *_) = chart.find_elements(By.CSS_SELECTOR, ".trace .points path.point")
    ActionChains(browser).move_to_element(dot).perform()
    text = wait(lambda: browser.execute_script(
        "return arguments[0].querySelector('.hoverlayer .hovertext')?.textContent", chart
    ))  # fmt: skip
    assert re.search(r"update \d+: \d+\.\d ± \d\.\d \(\d seeds\)", text)


def test_the_legend_hides_an_agent_in_every_chart(browser, page):
    from selenium.webdriver.common.by import By

    show(browser, page)
    before = sum(drawn for _, drawn in count_traces(browser))
    tick = browser.find_element(By.ID, "show-s1")
    assert NASTY in tick.find_element(By.XPATH, "..").text
    tick.click()
    own = browser.execute_script("""
        return [...document.querySelectorAll(".chart script")].flatMap(script => JSON.parse(script.textContent).data)
            .filter(trace => trace.legendgroup == "s1").length""")
    assert own > 10
    wait(lambda: sum(drawn for _, drawn in count_traces(browser)) == before - own)
    browser.find_element(By.CSS_SELECTOR, ".legend button").click()  # some are shown: none is
    wait(lambda: sum(drawn for _, drawn in count_traces(browser)) == 0)


def colours(browser):
    return browser.execute_script("""
        const chart = document.querySelector("#curves ~ .charts .chart");
        const of = (selector, property) => getComputedStyle(chart.querySelector(selector))[property];
        return {back: getComputedStyle(document.body).backgroundColor, words: of(".xtick text", "fill"),
                grid: of(".xgrid", "stroke"), line: of(".trace .js-line", "stroke")}""")


def test_the_dark_changes_page_and_charts_at_once(browser, page):
    show(browser, page)
    light = colours(browser)
    assert light["back"] == "rgb(255, 255, 255)"
    prefer(browser, "dark")
    wait(lambda: not set(colours(browser).values()) & set(light.values()))
    dark = colours(browser)
    show(browser, page, "dark")
    assert colours(browser) == dark


def test_a_phone(browser, page):
    show(browser, page, width=360)
    sizes = browser.execute_script("""
        const box = document.querySelector("#returns ~ .scroll"), plots = [...document.querySelectorAll(".plot svg")];
        return [document.documentElement.scrollWidth, box.scrollWidth, box.clientWidth,
                Math.max(...plots.map(plot => plot.getBoundingClientRect().right))]""")
    page_width, table, box, right = sizes
    assert page_width == 360
    assert table > box > 300
    assert right <= 360
    assert browser.get_log("browser") == []


def test_every_table_fits_a_phone_and_keeps_its_names(browser, page):
    """Each scrolls in its own box, in which the first column stays in sight and leaves room for the numbers."""
    show(browser, page, width=360)
    boxes = browser.execute_script("""
        return [...document.querySelectorAll(".scroll")].filter(box => box.offsetParent).map(box => {
            box.scrollLeft = 9999;
            const name = box.querySelector("tbody tr:not(.group) th").getBoundingClientRect();
            const frame = box.getBoundingClientRect();
            return [frame.right, name.left - frame.left, name.width / frame.width];
        })""")
    assert len(boxes) >= 5
    for right, left, share in boxes:
        assert right <= 360
        assert 0 <= left <= 1
        assert share < 0.95
    heads = browser.execute_script(
        "return [...document.querySelectorAll('#returns ~ .scroll')][2].querySelector('thead').textContent"
    )
    assert "Failed" in heads
    assert "Against its data" in heads


def test_names_are_read_as_text(browser, page):
    show(browser, page)
    assert NASTY in browser.find_element("css selector", "#returns ~ .scroll thead").text
    ticks = browser.execute_script("return [...document.querySelectorAll('.ytick text')].map(tick => tick.textContent)")
    assert any(NASTY in tick for tick in ticks)
    assert browser.title == "A <small> study"


def test_videos_play(browser, page):
    show(browser, page)
    videos = "return [...document.querySelectorAll('video')].map(video => [video.duration, video.videoWidth])"
    wait(lambda: all(width for _, width in browser.execute_script(videos)))
    ((seconds, width),) = browser.execute_script(videos)
    assert seconds == pytest.approx(1.3, abs=0.1)  # 13 pictures, 10 a second
    assert width == 64
    note = browser.find_element("css selector", "#videos + .note + .note").text
    assert "No video of plain HCSAC, medium: slide-left; " in note
    assert str(Path(page).parent) not in note
