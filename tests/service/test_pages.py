"""The pages in a real browser, on a real server: what a visitor sees, hears and can do by keys."""

import base64
import re
import shutil
import urllib.request
from pathlib import Path

import pytest
from tests.service.running import Running

from warmstart.data import Dataset
from warmstart.recommenders import Recommender
from warmstart.service import site

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install it")
from playwright.sync_api import Error, expect, sync_playwright

PAGES = Path(site.__file__).parent / "pages"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
HOSTILE = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script> 'A' & B"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
CARDS = "#wall .card[data-item]"


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
def served(shelf, tmp_path_factory):
    """A service without keys, and one hostile title."""
    store = tmp_path_factory.mktemp("pages") / "events.sqlite"
    with Running(shelf / "first", store, no_auth=True) as server:
        row = {"item": 666, "title": HOSTILE, "genres": "Sci-Fi"}
        row["description"] = "<b>space</b> robot"
        server.good("POST", "/v1/items", {"items": [row]})
        yield server


@pytest.fixture
def page(browser, served):
    """A fresh tab of an English reader; whatever it complains about fails the test."""
    yield from opened(browser, served, "en-US")


@pytest.fixture
def chinese(browser, served):
    yield from opened(browser, served, "zh-CN")


def opened(browser, served, locale):
    context = browser.new_context(
        base_url=served.url, locale=locale, viewport={"width": 1280, "height": 900},
        reduced_motion="no-preference",
    )  # fmt: skip
    tab = context.new_page()
    tab.set_default_timeout(15_000)
    complaints = []
    tab.on("console", lambda m: complaints.append(m.text) if m.type != "log" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("requestfailed", lambda r: complaints.append(f"{r.url}: {r.failure}"))
    tab.complaints = complaints
    yield tab
    hacked = tab.evaluate("window.hacked")
    context.close()
    assert hacked is None
    assert [c for c in complaints if "ERR_ABORTED" not in c] == []  # left while loading


def first(page):
    page.goto("/")
    expect(page.locator(CARDS).first).to_be_visible()
    settled(page)


def settled(page):
    expect(page.locator("#wall")).not_to_have_attribute("aria-busy", "true")


def order(page):
    return page.locator(CARDS).evaluate_all("cards => cards.map(card => card.dataset.item)")


def name(page, at):
    return page.locator(f"{CARDS} h3").nth(at).inner_text()


def expected(served, history, k):
    body = {"history": history, "k": k}
    return [str(one["item"]) for one in served.good("POST", "/v1/recommend", body)["items"]]


def test_a_like_ranks_the_wall_again_and_moved_items_say_why(page, served):
    first(page)
    before = order(page)
    assert before == expected(served, [], 30)
    liked, title = before[2], name(page, 2)
    page.evaluate("""() => {
      window.moved = 0;
      const animate = Element.prototype.animate;
      Element.prototype.animate = function (...given) {
        window.moved += this.matches(".card");
        return animate.apply(this, given);
      };
    }""")
    page.get_by_role("button", name=f"Like {title}", exact=True).click()
    expect(page.locator("#moved .said")).to_have_text(f"You liked {title}.")
    settled(page)
    after = order(page)
    history = [{"item": int(liked), "event": "like"}]
    assert after == expected(served, history, 30)
    assert liked not in after
    marked = page.locator(f"{CARDS}:has(.move)")
    assert marked.count() > 3
    for reason in marked.locator(".reason").all_inner_texts():
        assert "because you liked" in reason or "liked by" in reason or "new in" in reason
    rest = [item for item in before if item != liked]
    stays = [i for i, item in enumerate(after) if i < len(rest) and rest[i] == item]
    shown = page.locator(CARDS).evaluate_all("cards => cards.map(c => !!c.querySelector('.move'))")
    assert [i for i, has in enumerate(shown) if not has] == stays
    assert page.evaluate("window.moved") >= marked.count()  # they travel
    events = served.good("GET", "/v1/events?k=1")["events"]
    assert (str(events[0]["item"]), events[0]["event"]) == (liked, "like")


def test_a_dislike_counts_too_and_can_be_taken_back(page, served):
    first(page)
    before, title = order(page), name(page, 0)
    page.get_by_role("button", name=f"Dislike {title}", exact=True).click()
    expect(page.locator("#taste .chip.dislike .name")).to_have_text(title)
    settled(page)
    history = [{"item": int(before[0]), "event": "dislike"}]
    assert order(page) == expected(served, history, 30)
    page.get_by_role("button", name=f"Take back your dislike of {title}").click()
    expect(page.locator("#moved .said")).to_have_text(f"You took back {title}.")
    settled(page)
    assert order(page) == before
    undone, disliked = served.good("GET", "/v1/events?k=2")["events"]
    assert (str(undone["item"]), undone["event"]) == (before[0], "undo")
    assert (disliked["event"], disliked["user"]) == ("dislike", undone["user"])
    body = {"user": undone["user"], "k": 30}  # the service counts neither
    listed = served.good("POST", "/v1/recommend", body)["items"]
    assert [str(one["item"]) for one in listed] == before


def test_the_most_helpful_question_is_marked_and_can_be_passed_over(page, served):
    asked = served.good("POST", "/v1/onboarding/next", {})["question"]
    first(page)
    short = asked["title"].rsplit(" (", 1)[0]
    expect(page.locator("#question-head")).to_have_text(f"What about {short}?")
    best = page.locator(f'{CARDS}.best[data-item="{asked["item"]}"]')
    assert best.count() == (str(asked["item"]) in order(page))
    body = {"not_seen": [asked["item"]]}
    following = served.good("POST", "/v1/onboarding/next", body)["question"]["title"]
    page.get_by_role("button", name="Don’t know it").click()
    expect(page.locator("#question-head")).to_contain_text(following.rsplit(" (", 1)[0])


def test_words_make_the_list(page):
    first(page)
    page.get_by_label("Or say it in your own words").fill("space robot films, no horror")
    page.keyboard.press("Enter")
    expect(page.locator("#understood")).to_contain_text("✕ Horror")
    expect(page.locator("#wall-head")).to_have_text("For your words")
    settled(page)
    assert "Horror" not in " ".join(page.locator(f"{CARDS} .meta").all_inner_texts())
    assert "space" in page.locator(f"{CARDS} .reason").first.inner_text()
    words = order(page)
    page.get_by_role("button", name="Forget these words").click()
    expect(page.locator("#wall-head")).to_have_text("Where everybody starts")
    settled(page)
    assert order(page) != words


def test_chinese_is_an_equal(chinese, page):
    first(chinese)
    expect(chinese.locator("h1")).to_have_text("点一下，就更懂你。")
    assert chinese.locator("html").get_attribute("lang") == "zh-Hans"
    chinese.locator(f"{CARDS} .vote.like").first.click()
    expect(chinese.locator("#moved .said")).to_contain_text("你喜欢《")
    settled(chinese)
    for line in chinese.locator(".reason").all_inner_texts():
        assert "because" not in line, line
        assert "users" not in line, line
    chinese.get_by_role("button", name="Switch to English").click()
    expect(chinese.locator("h1")).to_have_text("One click, and it knows you better.")
    chinese.goto("/why.html")  # and it stays
    expect(chinese.locator("h1")).to_have_text("Why is it on your list?")
    first(page)
    page.get_by_role("button", name="切换到中文").click()
    expect(page.locator("h1")).to_have_text("点一下，就更懂你。")
    assert page.title() == "第一次点击 · warmstart"


def test_both_languages_have_every_text(page):
    page.goto("/")
    english, mandarin = page.evaluate("""async () => {
      const { TEXT } = await import("/text.js");
      const places = (text) => [...text.matchAll(/[{][a-z]+[}]/g)].map(String).sort().join();
      return ["en", "zh"].map((name) => Object.fromEntries(
        Object.entries(TEXT[name]).map(([key, text]) => [key, places(text)])));
    }""")
    assert len(english) > 100
    assert english == mandarin  # keys, and the places inside
    files = [path for path in PAGES.iterdir() if path.suffix in (".js", ".html")]
    sources = "\n".join(path.read_text("utf-8") for path in files if path.name != "text.js")
    made = [
        re.escape(re.sub(r"\$\{[^}]*\}", "*", key)) for key in re.findall(r"t\(`(.+?)`", sources)
    ]
    made = [key.replace(r"\*", r"\w+") for key in made]
    unused = [
        key
        for key in english
        if f'"{key}"' not in sources and not any(re.fullmatch(one, key) for one in made)
    ]
    assert unused == []


def test_everything_works_by_keys_alone(page, served):
    first(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.card .vote.like')"):
            break
    item = page.evaluate("document.activeElement.closest('.card').dataset.item")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#taste .chip.like")).to_have_count(1)
    settled(page)
    page.wait_for_function("document.activeElement.matches('.card .vote.like')")  # not lost
    page.keyboard.press("d")  # and a letter does it, too
    expect(page.locator("#taste .chip.dislike")).to_have_count(1)
    settled(page)
    assert item not in order(page)
    expect(page.locator("#live")).to_contain_text("You disliked")


def test_why_shows_the_services_own_evidence(page, served):
    first(page)
    page.locator(f"{CARDS} .vote.like").first.click()
    expect(page.locator("#taste .chip")).to_have_count(1)
    settled(page)
    page.locator(f"{CARDS} .vote.dislike").nth(1).click()
    expect(page.locator("#taste .chip")).to_have_count(2)
    settled(page)
    votes = page.evaluate("JSON.parse(sessionStorage.getItem('warmstart-taste')).votes")
    history = [{"item": v["item"], "event": v["event"]} for v in votes]
    target = int(order(page)[3])
    page.locator(f'{CARDS}[data-item="{target}"] h3 a').click()
    expect(page.locator("#case .badge")).to_have_text("no. 4 on your list")
    ids = [int(i) for i in expected(served, history, 12)]
    told = served.good("POST", "/v1/explain", {"history": history, "items": ids})["items"]
    own = next(one for one in told if one["item"] == target)
    expect(page.locator(".sure p").first).to_contain_text(f"{own['score']:,.2f}")
    expect(page.locator(".sure p").first).to_contain_text(f"{own['uncertainty']:,.2f}")
    weights = [e["weight"] for e in own["evidence"] if abs(e["weight"]) >= 0.01]
    shown = [text.split()[0] for text in page.locator(".bar .value").all_inner_texts()]
    assert shown == [f"{'+' if w > 0 else '−'}{abs(w):.2f}" for w in weights]
    page.locator(".pick").nth(1).click()
    expect(page.locator("#case .badge")).to_have_text("no. 2 on your list")


def test_titles_are_text_whatever_they_hold(page):
    for path, where in (
        ("/", CARDS),
        ("/why.html?item=666", "#case .face h2"),
        ("/operator.html", "#items tr"),
    ):
        page.goto(path)
        if path == "/":
            page.locator("#say").fill("space robot")
            page.keyboard.press("Enter")
        if path == "/operator.html":
            page.get_by_label("Order").select_option("newest")
        expect(page.locator(where, has_text="<img src=x").first).to_contain_text("<script>")
    assert page.locator("main script, main img, main b").count() == 0


def test_every_control_has_a_name_and_every_page_one_heading(page):
    for path in ("/", "/why.html", "/operator.html"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        nameless = page.evaluate("""() => [...document.querySelectorAll(
            "button, a[href], input, select, textarea")].filter((node) => {
          const label = node.labels?.[0]?.textContent ?? "";
          return !(node.getAttribute("aria-label") ?? (label || node.textContent)).trim();
        }).map((node) => node.outerHTML)""")
        assert nameless == []
        assert page.locator("h1").count() == 1
        assert page.locator("main, header, nav, footer").count() == 4
        pictures = page.locator("svg:not([aria-hidden]):not([aria-label])").count()
        assert pictures == 0


def test_no_page_is_wider_than_its_window(page):
    for path in ("/", "/why.html", "/operator.html"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        for width in (1280, 768, 390, 320):
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_function("width => innerWidth === width", arg=width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_an_item_added_by_the_operator_is_recommended_at_once(page, served):
    page.goto("/operator.html")
    page.get_by_label("Id", exact=True).fill("901")
    page.get_by_label("Title").fill("新星 (2026)")
    page.get_by_label("Tags").fill("Sci-Fi, Action")
    page.get_by_label("Description").fill("A space robot on an alien planet.")
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("#outcome .mine")).to_contain_text("新星 (2026)")
    said = page.locator("#outcome .success").inner_text()
    assert float(said.split()[1]) < 2.0
    rank = int(page.locator("#outcome .mine .rank").inner_text())
    ids = {int(i) for i in expected(served, [], 100)}
    assert 901 in ids
    assert 1 <= rank <= len(ids)
    row = page.locator("#items tbody tr").first
    expect(row).to_contain_text("新星")  # the newest in the catalogue
    served.good("DELETE", "/v1/items", {"items": [901]})


def test_the_operator_sees_the_model_and_its_bias(page, served):
    expected(served, [], 10)
    page.goto("/operator.html")
    about = served.good("GET", "/v1/model")
    expect(page.locator("#model")).to_contain_text(about["model"])
    expect(page.locator("#curve svg[role=img]")).to_have_attribute(
        "aria-label", "Quality by number of answers: "
        + ", ".join(f"{q['shots']}: {q['ndcg@10']:.3f}" for q in about["quality"]),
    )  # fmt: skip
    bias = served.good("GET", "/v1/bias")
    expect(page.locator("#bias dd").first).to_have_text(f"{100 * bias['coverage']:.0f}%")
    served.liked("watched", 7)
    expect(page.locator("#events tbody tr", has_text="watched")).to_have_count(1)
    expect(page.locator("#latency tbody tr", has_text="/v1/recommend").first).to_be_visible()
    expect(page.locator("#models .tag-now")).to_have_text("serving now")


def test_forget_me_deletes_the_visitor_everywhere(page, served):
    first(page)
    before = order(page)
    visitor = page.evaluate("JSON.parse(sessionStorage.getItem('warmstart-taste')).visitor")
    with page.expect_response("**/v1/events"):
        page.locator(f"{CARDS} .vote.like").first.click()
    assert len(served.good("GET", f"/v1/users/{visitor}")["events"]) == 1
    page.get_by_role("button", name="Forget me").click()
    expect(page.locator("#taste")).to_contain_text("Nothing yet")
    settled(page)
    assert order(page) == before
    assert served.good("GET", f"/v1/users/{visitor}")["events"] == []


def test_a_key_is_asked_for_once_and_stays_in_the_tab(browser, running):
    for page in opened(browser, running, "en-US"):
        page.goto("/")
        dialog = page.get_by_role("dialog", name="A key, please")
        page.get_by_label("Key (ws_…)").fill("ws_wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("This key opens nothing")
        page.get_by_label("Key (ws_…)").fill(running.key)
        page.keyboard.press("Enter")
        expect(page.locator(CARDS).first).to_be_visible()
        page.goto("/why.html")
        expect(page.locator("#case .face h2")).to_be_visible()
        assert page.evaluate("Object.values(localStorage).join()").find("ws_") < 0
        del page.complaints[:]  # the browser writes each 401 down


def test_a_failure_says_so_and_offers_another_try(page):
    first(page)
    page.route("**/v1/recommend", lambda route: route.abort())
    page.locator(f"{CARDS} .vote.like").first.click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    page.unroute("**/v1/recommend")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    settled(page)
    del page.complaints[:]  # the browser writes the broken request down


def test_pictures_are_shown_where_there_are_some_and_none_from_outside_the_folder(
    browser, shelf, tmp_path
):
    from_outside = tmp_path / "secret.png"
    root = tmp_path / "pictures"
    root.mkdir()
    for path in (from_outside, root / "own.png"):
        path.write_bytes(PIXEL)
    (root / "link.png").symlink_to(from_outside)
    names = ["own.png", "../secret.png", str(from_outside), "link.png", None]
    items = {"item": [700, 701, 702, 703, 704], "title": list("ABCDE"), "poster": names}
    events = {"user": [1, 1, 2, 2, 3, 3, 3], "item": [700, 701, 702, 703, 704, 700, 701]}
    model = Recommender("popularity").fit(Dataset.from_tables(events, items=items), progress=False)
    model.save(tmp_path / "model")
    config = {"no_auth": True, "content_root": root}
    with Running(tmp_path / "model", tmp_path / "events.sqlite", **config) as server:
        assert server.ask("POST", "/v1/poster", {"item": 700})[2] == PIXEL
        for outside in (701, 702, 703, 704):
            assert server.refused("POST", "/v1/poster", {"item": outside}) == (404, "not_found")
        for page in opened(browser, server, "en-US"):
            page.goto("/why.html?item=700")
            expect(page.locator("#case .sure")).to_contain_text("does not say how sure")
            picture = page.locator(".face img")
            expect(picture).to_be_visible()
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1


def test_covers_are_the_same_every_time_and_differ_between_titles(page):
    page.goto("/")
    drawn = page.evaluate("""async () => {
      const { cover } = await import("/covers.js");
      const titles = Array.from({ length: 300 }, (_, i) => `Title ${i} 标题`);
      const draw = () => titles.map((title) => cover(title, ["Drama"]).outerHTML);
      return [draw(), draw()];
    }""")
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 300


def test_quantiles_of_the_histogram(page):
    page.goto("/")
    text = "\n".join(
        f'warmstart_request_seconds_bucket{{le="{le}",method="GET",route="/v1/items",'
        f'status="200"}} {n}'
        for le, n in (("0.01", 2.0), ("0.02", 6.0), ("0.04", 10.0), ("+Inf", 10.0))
    )
    rows = page.evaluate("async (text) => (await import('/latency.js')).routes(text)", text)
    # the fifth of ten lies 3/4 of the way through the bucket from 10 to 20 ms
    assert rows[0]["p50"] == pytest.approx(17.5)
    assert rows[0]["p99"] == pytest.approx(39.5)
    assert (rows[0]["count"], rows[0]["failed"]) == (10, 0)


def test_files_come_with_the_policy_and_wrong_methods_are_still_told(served):
    for path in ("/", "/why.html", "/first.js", "/style.css"):
        with urllib.request.urlopen(served.url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    wanted = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
    with urllib.request.urlopen(urllib.request.Request(served.url, headers=wanted)) as answer:
        assert answer.headers["Content-Language"] == "zh-Hans"
        assert b'<html lang="zh-Hans"' in answer.read()
    assert served.refused("GET", "/v1/recommend") == (405, "method_not_allowed")
    assert served.refused("GET", "/nothing.html") == (404, "not_found")


def test_nothing_is_ever_parsed_as_markup_and_nothing_comes_from_elsewhere():
    for path in PAGES.iterdir():
        text = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, (path.name, word)
        for line in text.splitlines():
            assert "://" not in line.replace("http://www.w3.org/2000/svg", ""), (path.name, line)
