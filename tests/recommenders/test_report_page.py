"""The report's page in a real browser, opened from disk: every width, light and dark."""

import shutil

import pytest

from warmstart.data import SplitConfig, load_dataset, make_split
from warmstart.recommenders import Recommender
from warmstart.recommenders.reporting.page import page_of
from warmstart.recommenders.reporting.people import ReportConfig
from warmstart.recommenders.reporting.report import report_on

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install it")
from playwright.sync_api import Error, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SIZES = {390: "narrow", 768: "middle", 1280: "wide"}


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"chromium does not start here: {str(error)[:200]}")
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    data = load_dataset("synthetic", n_users=200, n_items=80, n_events=20, seed=5)
    split = make_split(data, SplitConfig(test_fraction=0.3, max_shots=5))
    model = Recommender("itemknn").fit(split.train, progress=False)
    found = report_on(model, data, ReportConfig(shots=(0, 2, 5), baselines=("ease",), tune="no"))
    folder = tmp_path_factory.mktemp("report")
    for language in ("en", "zh"):
        (folder / f"{language}.html").write_text(page_of(found, language), "utf8")
    return folder


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (768, "light"), (1280, "dark")])
def test_it_fits_and_loads_nothing(browser, pages, language, width, scheme):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, complaints = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    address = (pages / f"{language}.html").as_uri()
    tab.goto(address)
    assert asked == [address]
    assert not complaints
    root = "document.documentElement"
    assert tab.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    shown = tab.locator(".chart svg:visible")
    kinds = {shown.nth(i).get_attribute("class") for i in range(shown.count())}
    assert kinds == {SIZES[width]}
    letters = tab.evaluate(
        "[...document.querySelectorAll('svg text')].filter(t => t.checkVisibility())"
        ".map(t => t.getBoundingClientRect().height)"
    )
    assert min(letters) > 9  # pixels; drawings never shrink their letters
    paper, ink = tab.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    dark = sum(map(int, paper[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))
    assert dark == (scheme == "dark")
    for label in tab.locator("details summary").all():
        label.click()
    assert tab.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    tab.close()
