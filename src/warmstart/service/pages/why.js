// Why: the evidence for one item of the list, and how sure the model is of it.

import { call, lines } from "./api.js";
import { diverging, interval } from "./charts.js";
import { find, icon, make } from "./dom.js";
import { about, cards, face, short } from "./items.js";
import { announce, begin, fail } from "./shell.js";
import { forget, history, taste } from "./taste.js";
import { number, t, told } from "./text.js";

const LISTED = 12;
const KNOWN = 100; // places that are told of an item further down
const NOTICEABLE = 0.01; // of the weightiest answer of the list

const state = { listed: [], reasons: new Map(), cards: new Map(), asked: new Map(), item: wanted() };

function wanted() {
  try {
    return JSON.parse(new URLSearchParams(location.search).get("item"));
  } catch {
    return null;
  }
}

async function load() {
  const stage = find("#case");
  if (!state.listed.length) stage.replaceChildren(make("p", { class: "empty" }, t("loading")));
  try {
    const items = await (taste.words ? heard() : listed());
    state.listed = items;
    state.item ??= items[0]?.item ?? null;
    if (state.item === null) {
      stage.replaceChildren(make("p", { class: "empty" }, t("wall.empty")));
      return;
    }
    const ids = [...new Set([...items.slice(0, LISTED).map((one) => one.item), state.item])];
    const [found, known] = await Promise.all([
      call("POST", "/v1/explain", { history: history(), items: ids }),
      cards([...ids, ...taste.votes.map((one) => one.item)]),
    ]);
    state.reasons = new Map(found.items.map((one) => [one.item, one]));
    state.cards = known;
    show();
  } catch (error) {
    if (error.code === "unknown_item") fail(stage, error, () => forget().then(() => location.assign("/")), "reset");
    else fail(stage, error, load);
  }
}

async function listed() {
  return (await call("POST", "/v1/recommend", { history: history(), k: KNOWN })).items;
}

async function heard() {
  const told = await lines("POST", "/v1/ask", { query: taste.words, history: history(), k: KNOWN });
  const reasons = told.filter((line) => line.type === "reason");
  state.asked = new Map(reasons.map((line) => [line.item, line.reason]));
  return told.filter((line) => line.type === "item");
}

function show() {
  if (!state.reasons.size) return;
  showPicks();
  showCase();
}

function showPicks() {
  const picks = state.listed.slice(0, LISTED).map((one, at) => {
    const card = state.cards.get(one.item);
    const here = one.item === state.item;
    const link = make("a", {
      class: "pick", href: `?item=${encodeURIComponent(JSON.stringify(one.item))}`,
      "aria-current": here ? "true" : null,
      onclick: (event) => choose(event, one.item),
    },
    make("span", { class: "rank" }, number(at + 1)), face(card),
    make("span", { class: "title" }, short(one.title)));
    return make("li", {}, link);
  });
  find("#picks").replaceChildren(...picks);
}

function choose(event, item) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  state.item = item;
  window.history.replaceState(null, "", event.currentTarget.getAttribute("href"));
  show();
  find('#picks [aria-current="true"]')?.focus({ preventScroll: true });
  announce(find("#case h2").textContent);
}

function showCase() {
  const one = state.reasons.get(state.item);
  const card = state.cards.get(state.item);
  const at = state.listed.findIndex((listed) => listed.item === state.item);
  const place = at < 0 ? t("why.unlisted") : t("why.place", { n: number(at + 1) });
  find("#case").replaceChildren(
    make("div", { class: "face" }, face(card),
      make("div", {},
        make("p", { class: "badge" }, place),
        make("h2", {}, short(one.title)),
        make("p", { class: "meta" }, about(card)),
        make("p", { class: "verdict" }, told(one.reason)))),
    make("div", { class: "grid" }, answers(one), sureness(one), attributes(card), words(card)));
}

function panel(title, kind, ...children) {
  return make("section", { class: `panel ${kind}` }, make("h2", {}, title), ...children);
}

function answers(one) {
  const title = t("why.likes");
  const note = (key) => make("p", { class: "note" }, t(key));
  if (!taste.votes.length) return panel(title, "wide", note("why.likes.none"));
  const spoken = one.evidence.filter((e) => Math.abs(e.weight) >= NOTICEABLE);
  if (!spoken.length) return panel(title, "wide", note("why.likes.zero"));
  const said = new Map(taste.votes.map((vote) => [vote.item, vote.event]));
  const bars = spoken.map((e) => {
    const event = said.get(e.item) ?? "like";
    return make("li", { class: "bar" },
      make("span", { class: `name ${event}` }, icon(event),
        make("span", { class: "unseen" }, t(`taste.${event}d`)),
        make("span", { title: e.title }, short(e.title))),
      diverging(e.weight),
      make("span", { class: "value" }, `${e.weight > 0 ? "+" : "−"}${number(Math.abs(e.weight), 2)}`,
        make("span", { class: "unseen" }, ` ${t(e.weight > 0 ? "why.toward" : "why.against")}`)));
  });
  return panel(title, "wide", note("why.likes.note"), make("ul", { class: "bars" }, ...bars));
}

function sureness(one) {
  const doubt = one.uncertainty;
  const title = t("why.sure");
  if (doubt === null) return panel(title, "wide sure", make("p", { class: "note" }, t("why.sure.none")));
  const value = t("why.sure.value", { score: number(one.score, 2), doubt: number(doubt, 2) });
  const others = [...state.reasons.values()].filter((other) => other !== one).map((other) => other.score);
  return panel(title, "wide sure", make("p", {}, value), interval(one.score, doubt, others, value),
    make("p", { class: "note" }, t("why.sure.note")));
}

function attributes(card) {
  const title = t("why.attributes");
  const likes = taste.votes.filter((vote) => vote.event === "like" && vote.item !== card.item);
  const people = make("p", { class: "note" }, t("why.people", { n: number(card.likes) }));
  if (!card.tags.length) return panel(title, "", make("p", { class: "note" }, t("why.attributes.none")), people);
  const rows = card.tags.map((tag) => {
    const n = likes.filter((vote) => (state.cards.get(vote.item)?.tags ?? []).includes(tag)).length;
    const shared = n ? t("why.attribute.shared", { n: number(n), of: number(likes.length) }) : t("why.attribute.own");
    return make("li", {}, make("span", { class: "tag" }, tag), likes.length ? make("span", { class: "note" }, shared) : null);
  });
  return panel(title, "", people, make("ul", { class: "shared" }, ...rows));
}

function words(card) {
  const title = t("why.words");
  const parts = [];
  if (!taste.words) parts.push(make("p", { class: "note" }, t("why.words.none")));
  else {
    const reason = state.asked.get(card.item);
    const key = reason ? "why.words.listed" : "why.words.unlisted";
    parts.push(make("p", {}, t(key, { words: taste.words, reason: told(reason) })));
  }
  if (card.description) {
    parts.push(make("p", { class: "note" }, ...marked(card.description, taste.words)));
  }
  return panel(title, "", ...parts);
}

/** Return a text in pieces, in which the words that were asked for are marked. */
function marked(text, asked) {
  const terms = (asked.toLowerCase().match(/[\p{Script=Han}]{2,}|[\p{L}\p{N}]{3,}/gu) ?? [])
    .map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!terms.length) return [text];
  const pattern = new RegExp(`(${terms.join("|")})`, "giu");
  return text.split(pattern).map((piece, at) => (at % 2 ? make("mark", {}, piece) : piece));
}

begin(() => {
  show();
});
load();
