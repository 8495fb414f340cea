// First click: a wall that every answer ranks again, and the question that would help most.

import { call, lines } from "./api.js";
import { find, icon, make } from "./dom.js";
import { about, cards, face, short } from "./items.js";
import { announce, begin, fail } from "./shell.js";
import { forget, history, pass, say, taste, unvote, vote } from "./taste.js";
import { number, percent, t, told } from "./text.js";

const SHOWN = 30;
const ASKED = 90; // so that a newcomer on the wall can say from where it came
const TRAVEL = { duration: 520, easing: "cubic-bezier(.2,.8,.2,1)" };

const wall = find("#wall");
const state = {
  listed: [], // {item, title, score, reason}, best first
  cards: new Map(),
  moves: new Map(), // item -> {by, from}
  question: null,
  understood: null, // of the words
  after: null, // what was said last: {key, title, ms}
};
let turn = 0; // answers that come too late are dropped

// Asking the service

async function ranked() {
  if (!taste.words) {
    const body = { history: history(), k: ASKED, explain: true };
    return { listed: (await call("POST", "/v1/recommend", body)).items, understood: null };
  }
  const told = await lines("POST", "/v1/ask", { query: taste.words, history: history(), k: ASKED });
  const reasons = new Map(told.filter((l) => l.type === "reason").map((l) => [l.item, l.reason]));
  const listed = told.filter((l) => l.type === "item").map((l) => ({ ...l, reason: reasons.get(l.item) }));
  const understood = told.find((l) => l.type === "understood");
  const refused = told.find((l) => l.type === "done")?.refused ?? [];
  return { listed, understood: { ...understood, refused } };
}

async function nextQuestion() {
  const votes = (event) => taste.votes.filter((v) => v.event === event).map((v) => v.item);
  const body = { history: votes("like"), dislikes: votes("dislike"), not_seen: taste.passed };
  return (await call("POST", "/v1/onboarding/next", body)).question;
}

/** Rank again, and show what moved; `after` is what was said. */
async function rank(after = null) {
  turn += 1;
  const mine = turn;
  wall.setAttribute("aria-busy", "true");
  const begun = performance.now();
  try {
    const [{ listed, understood }, question] = await Promise.all([
      ranked(),
      nextQuestion().catch(() => null), // a model that cannot ask still ranks
    ]);
    const ms = performance.now() - begun;
    const shown = listed.slice(0, SHOWN).map((one) => one.item);
    const known = await cards(question ? [...shown, question.item] : shown);
    if (mine !== turn) return;
    const before = new Map(state.listed.map((one, at) => [one.item, at + 1]));
    state.moves = after && before.size ? movesOf(before, shown) : new Map();
    Object.assign(state, { listed, understood, question, cards: known, after: after && { ...after, ms } });
    find("#wall-state").replaceChildren();
    showAll();
  } catch (error) {
    if (mine !== turn) return;
    // another model may not know what was liked; then there is only a new start
    if (error.code === "unknown_item") fail(find("#wall-state"), error, forgetMe, "reset");
    else fail(find("#wall-state"), error, () => rank(after));
  } finally {
    if (mine === turn) wall.removeAttribute("aria-busy");
  }
}

function movesOf(before, shown) {
  const answered = taste.votes.map((v) => before.get(v.item)).filter(Boolean).sort((a, b) => a - b);
  const moves = new Map();
  shown.forEach((item, at) => {
    const was = before.get(item);
    // places that the answered items have left free are nobody's rise
    const free = answered.filter((place) => place < was).length;
    if (was === undefined || was > SHOWN) moves.set(item, { fresh: true, from: was });
    else if (was - free !== at + 1) moves.set(item, { by: was - free - (at + 1) });
  });
  return moves;
}

// Showing

function showAll() {
  showUnderstood();
  showQuestion();
  showTaste();
  showMoved();
  showWall();
}

function showWall() {
  const cards = [...wall.children].filter((node) => node.dataset.item);
  const places = new Map(cards.map((node) => [node.dataset.item, node.getBoundingClientRect()]));
  const key = taste.words ? "wall.words" : taste.votes.length ? "wall.head" : "wall.start";
  find("#wall-head").textContent = t(key);
  const nodes = state.listed.slice(0, SHOWN).map((one, at) => cardOf(one, at));
  wall.replaceChildren(...nodes);
  const empty = taste.words ? "words.none" : "wall.empty";
  if (!nodes.length) find("#wall-state").replaceChildren(make("p", { class: "empty" }, t(empty)));
  travel(nodes, places);
}

function travel(nodes, places) {
  if (!places.size || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  nodes.forEach((node, at) => {
    const old = places.get(node.dataset.item);
    const now = node.getBoundingClientRect();
    if (!old) {
      node.animate(
        [{ opacity: 0, transform: "scale(.92)" }, { opacity: 1, transform: "none" }],
        { ...TRAVEL, delay: 120, fill: "backwards" });
    } else if (old.x !== now.x || old.y !== now.y) {
      const from = `translate(${old.x - now.x}px, ${old.y - now.y}px)`;
      node.animate([{ transform: from }, { transform: "none" }], { ...TRAVEL, duration: TRAVEL.duration + at * 8 });
    }
  });
}

function cardOf(one, at) {
  const card = state.cards.get(one.item);
  const name = short(one.title);
  const best = state.question?.item === one.item;
  const button = (event) => make("button", {
    class: `vote ${event}`, type: "button", "aria-label": t(`${event}.item`, { title: name }),
    title: t(event), onclick: () => answer(one, event),
  }, icon(event));
  return make("li", { class: best ? "card best" : "card", "data-item": String(one.item), onkeydown: pressed },
    make("div", { class: "art" },
      face(card),
      make("span", { class: "place", "aria-hidden": "true" }, number(at + 1)),
      best ? make("span", { class: "flag" }, icon("star"), t("best.question")) : null,
      make("div", { class: "votes" }, button("like"), button("dislike"))),
    make("h3", {},
      make("a", { href: `/why.html?item=${encodeURIComponent(JSON.stringify(one.item))}`, title: t("why.item", { title: name }) }, name)),
    make("p", { class: "meta" }, about(card)),
    make("p", { class: "reason" }, moveOf(one.item), told(one.reason)));
}

function moveOf(item) {
  const move = state.moves.get(item);
  if (!move) return null;
  if (move.fresh) {
    const from = move.from ? ` · ${t("moved.from", { n: number(move.from) })}` : "";
    return make("span", { class: "move fresh" }, `${t("moved.new")}${from}`);
  }
  const way = move.by > 0 ? "up" : "down";
  const arrow = make("span", { "aria-hidden": "true" }, move.by > 0 ? "▲" : "▼");
  return make("span", { class: `move ${way}` }, arrow, ` ${t(`moved.${way}`, { n: number(Math.abs(move.by)) })}`);
}

function showQuestion() {
  const box = find("#question");
  const asked = state.question;
  box.hidden = false;
  if (!asked) {
    box.replaceChildren(make("p", { class: "empty", id: "question-head" }, t("ask.done")));
    return;
  }
  const card = state.cards.get(asked.item);
  const name = short(asked.title);
  const gain = asked.expected_gain > 0 ? t("ask.gain", { gain: percent(asked.expected_gain) }) : "";
  const reply = (event, text) => make("button", {
    type: "button", class: event === "like" ? "primary" : "", onclick: () => answer(asked, event),
  }, text);
  box.replaceChildren(...[
    face(card),
    make("div", { class: "ask" },
      make("p", { class: "badge" }, icon("star"), t("ask.badge")),
      make("h2", { id: "question-head" }, t("ask.head", { title: name })),
      make("p", { class: "meta" }, about(card)),
      make("p", { class: "note" }, gain || told(asked.why))),
    make("div", { class: "replies" },
      reply("like", t("ask.like")),
      reply("dislike", t("ask.dislike")),
      make("button", { type: "button", class: "quiet", onclick: passed }, t("ask.unseen"))),
    gain ? make("p", { class: "note small-print" }, told(asked.why)) : null].filter(Boolean));
}

function showTaste() {
  const chips = [...taste.votes].reverse().map((one) => {
    const name = short(one.title);
    return make("li", { class: `chip ${one.event}` },
      icon(one.event),
      make("span", { class: "unseen" }, t(`taste.${one.event}d`)),
      make("span", { class: "name" }, name),
      make("button", {
        type: "button", "aria-label": t(`taste.undo.${one.event}`, { title: name }),
        onclick: () => takeBack(one),
      }, icon("undo")));
  });
  const box = find("#taste");
  if (!chips.length && !taste.words) {
    box.replaceChildren(make("p", { class: "note" }, t("taste.none")));
    return;
  }
  if (taste.words) chips.unshift(make("li", { class: "chip" }, make("span", { class: "name" }, `“${taste.words}”`)));
  box.replaceChildren(
    make("ul", { class: "chips" }, ...chips),
    make("button", { type: "button", class: "quiet", id: "forget", onclick: forgetMe }, t("taste.forget")));
}

function showMoved() {
  const box = find("#moved");
  if (!state.after) {
    box.replaceChildren(make("p", { class: "note" }, t("moved.none")));
    return;
  }
  const moves = [...state.moves.values()];
  const counts = {
    up: number(moves.filter((m) => m.by > 0).length),
    down: number(moves.filter((m) => m.by < 0).length),
    new: number(moves.filter((m) => m.fresh).length),
  };
  const said = t(`moved.after.${state.after.key}`, { title: state.after.title });
  const summary = moves.length ? t("moved.summary", counts) : t("moved.same");
  box.replaceChildren(
    make("p", { class: "said" }, said),
    make("p", {}, summary),
    make("ul", { class: "climbers" }, ...climbers()),
    make("p", { class: "note" }, t("moved.ms", { ms: number(Math.max(1, state.after.ms)) })));
  announce(`${said} ${summary}`);
}

/** Return lines on the items that gained most. */
function climbers() {
  const gain = (move) => (move.fresh ? (move.from ?? ASKED) - SHOWN / 2 : move.by);
  const best = state.listed.slice(0, SHOWN)
    .filter((one) => state.moves.has(one.item) && gain(state.moves.get(one.item)) > 0)
    .sort((a, b) => gain(state.moves.get(b.item)) - gain(state.moves.get(a.item)));
  return best.slice(0, 3).map((one) => make("li", {},
    make("strong", {}, short(one.title)), " ", moveOf(one.item), make("span", { class: "because" }, told(one.reason))));
}

function condition({ column, operator, value }) {
  const values = [value].flat().join(", ");
  if (operator === "has") return values;
  if (operator === "has not") return `✕ ${values}`;
  return `${column} ${{ "<=": "≤", ">=": "≥", "==": "=" }[operator] ?? operator} ${values}`;
}

function showUnderstood() {
  const box = find("#understood");
  if (!taste.words) {
    box.replaceChildren();
    return;
  }
  const parsed = state.understood?.parsed ?? {};
  const parts = [
    ...(parsed.likes ?? []), ...(parsed.liked_items ?? []).map((name) => `♥ ${name}`),
    ...[...(parsed.dislikes ?? []), ...(parsed.disliked_items ?? [])].map((name) => `✕ ${name}`),
    ...(parsed.filters ?? []).map(condition),
  ];
  const refused = state.understood?.refused ?? [];
  box.replaceChildren(
    parts.length
      ? make("ul", { class: "chips", "aria-label": t("words.understood") }, make("li", { class: "label" }, t("words.understood")),
        ...parts.map((part) => make("li", { class: "chip" }, part)))
      : make("p", { class: "note" }, t("words.nothing")),
    ...(refused.length ? [make("p", { class: "note" }, t("words.refused", { what: refused.join(", ") }))] : []),
    ...(state.understood?.question ? [make("p", { class: "note" }, state.understood.question)] : []),
    make("button", { type: "button", class: "quiet", onclick: clearWords }, t("words.clear")));
}

// Answering

function answer(one, event) {
  const card = state.cards.get(one.item);
  const at = [...wall.children].findIndex((node) => node.contains(document.activeElement));
  const asking = find("#question").contains(document.activeElement);
  vote({ ...card, title: one.title }, event);
  rank({ key: event, title: short(one.title) }).then(() => {
    const next = asking
      ? find("#question button")
      : find(`button.${event}`, wall.children[Math.min(Math.max(at, 0), wall.children.length - 1)] ?? wall);
    if (at >= 0 || asking) next?.focus({ preventScroll: true });
  });
}

function pressed(event) {
  const votes = { l: "like", d: "dislike" };
  const wanted = votes[event.key.toLowerCase()];
  if (!wanted || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const one = state.listed.find((listed) => String(listed.item) === event.currentTarget.dataset.item);
  if (one) answer(one, wanted);
}

async function passed() {
  pass(state.question.item);
  try {
    state.question = await nextQuestion();
    if (state.question) {
      for (const [item, card] of await cards([state.question.item])) state.cards.set(item, card);
    }
    showQuestion();
    showWall();
    find("#question button")?.focus({ preventScroll: true });
  } catch (error) {
    fail(find("#question"), error, passed);
  }
}

function takeBack(one) {
  unvote(one.item);
  rank({ key: "undo", title: short(one.title) });
  find("#taste").querySelector("button")?.focus({ preventScroll: true });
}

async function forgetMe() {
  await forget();
  state.listed = [];
  find("#say").value = "";
  await rank();
  announce(t("taste.forgotten"));
  find("#say").focus({ preventScroll: true });
}

function clearWords() {
  say("");
  find("#say").value = "";
  rank({ key: "clear", title: "" });
  find("#say").focus({ preventScroll: true });
}

find("#words").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = find("#say").value.trim();
  if (!words) return;
  say(words);
  rank({ key: "words", title: words });
});

begin(showAll);
find("#say").value = taste.words;
find("#moved").replaceChildren(make("p", { class: "note" }, t("moved.none")));
find("#wall-head").textContent = t("loading");
wall.replaceChildren(...Array.from({ length: 12 }, () =>
  make("li", { class: "card ghost", "aria-hidden": "true" }, make("div", { class: "art" }))));
state.listed = [];
rank();
