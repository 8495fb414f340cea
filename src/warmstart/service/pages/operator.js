// Operator: what is running, how well and how fairly; and an item that was not there a second ago.

import { call, metrics } from "./api.js";
import { curve, meter } from "./charts.js";
import { find, make } from "./dom.js";
import { cards, face, short } from "./items.js";
import { routes } from "./latency.js";
import { announce, begin, fail } from "./shell.js";
import { language, number, percent, t } from "./text.js";

const EVENTS_MS = 2000;
const PAGE = 12;
const NEIGHBOURS = 3;
const SEARCHED = 500;
const LISTED = 10;

const state = { model: null, bias: null, models: null, stats: null, timing: [], events: null, page: null, offset: 0 };

// Each panel loads and fails alone.

async function part(where, load, show) {
  try {
    await load();
    show();
  } catch (error) {
    fail(find(where), error, () => part(where, load, show));
  }
}

const loadModel = async () => {
  state.model = await call("GET", "/v1/model");
};
const loadBias = async () => {
  state.bias = await call("GET", "/v1/bias");
};
const loadModels = async () => {
  state.models = await call("GET", "/v1/models");
};
const loadTiming = async () => {
  state.timing = routes(await metrics());
  state.stats = await call("GET", "/v1/stats").catch(() => null); // for admins alone
};
const loadItems = async () => {
  const by = find("#by").value;
  const page = await call("GET", `/v1/items?by=${by}&offset=${state.offset}&limit=${PAGE}`);
  const ids = page.items.map((one) => one.item);
  state.page = { total: page.total, cards: ids.length ? [...(await cards(ids)).values()] : [] };
};
const loadEvents = async () => {
  const { events } = await call("GET", "/v1/events?k=12");
  const titles = new Map();
  for (const { item } of events) {
    // an event may name an item that this model does not know
    const found = await cards([item]).catch(() => new Map());
    titles.set(item, found.get(item)?.title ?? String(item));
  }
  state.events = events.map((event) => ({ ...event, title: titles.get(event.item) }));
};

// Figures

function showModel() {
  const model = state.model;
  if (!model) return;
  find("#model").textContent = `${model.model} · ${t("models.method")} ${model.method} · ${model.origin.dataset ?? ""}`;
  showKpis();
  showCurve();
}

function showKpis() {
  const { model } = state;
  if (!model) return;
  const lists = state.timing.find((row) => row.route === "/v1/recommend" && row.count);
  const took = state.stats?.milliseconds ?? {};
  const [p50, p99] = [took.p50 ?? lists?.p50, took.p99 ?? lists?.p99];
  const ms = (value) => (value === undefined ? t("kpi.none") : `${number(value, value < 10 ? 1 : 0)} ms`);
  const figures = [
    ["kpi.items", number(model.items)], ["kpi.new", number(model.new_items)],
    ["kpi.users", model.origin.n_users === undefined ? t("kpi.none") : number(model.origin.n_users)],
    ["kpi.requests", lists ? number(lists.count) : t("kpi.none")],
    ["kpi.p50", ms(p50)], ["kpi.p99", ms(p99)],
  ];
  find("#kpis").replaceChildren(...figures.map(([key, value]) =>
    make("div", {}, make("dt", {}, t(key)), make("dd", {}, value))));
}

function showCurve() {
  const rows = state.model.quality.map((row) => ({
    shots: row.shots, users: row.users, model: row["ndcg@10"], popularity: row.popularity,
  })).filter((row) => typeof row.model === "number");
  const box = find("#curve");
  if (!rows.length) {
    box.replaceChildren(make("p", { class: "empty" }, t("curve.none")));
    return;
  }
  const names = { model: t("curve.model"), popularity: t("curve.popularity"), shots: t("curve.shots") };
  const cells = rows.map((row) => [
    String(row.shots), number(row.model, 3), row.popularity === undefined ? "–" : number(row.popularity, 3), number(row.users)]);
  box.replaceChildren(
    curve(rows, names, `${t("curve.head")}: ${rows.map((r) => `${r.shots}: ${number(r.model, 3)}`).join(", ")}`, box.clientWidth),
    make("details", {}, make("summary", {}, t("curve.table")),
      table([t("curve.shots"), names.model, names.popularity, t("curve.users")], cells, [1, 2, 3])));
}

function showBias() {
  const bias = state.bias;
  if (!bias) return;
  const box = find("#bias");
  if (!bias.visitors) {
    box.replaceChildren(make("p", { class: "empty" }, t("items.none")));
    return;
  }
  const percentile = (value) => t("bias.percentile", { n: ordinal(value) });
  const row = (key, value, share, even) =>
    make("div", { class: "meter" }, make("dt", {}, t(key)), make("dd", {}, value), meter(share, even));
  const rows = [
    row("bias.coverage", percent(bias.coverage), bias.coverage),
    row("bias.gini", number(bias.gini, 2), bias.gini),
    row("bias.popularity", percentile(bias.popularity), bias.popularity / 100, bias.catalogue / 100),
    row("bias.tail", percent(bias.tail, 1), bias.tail, 0.5),
    row("bias.new", percent(bias.new, 1), bias.new),
  ];
  const widest = [...bias.groups].sort((a, b) => b.gap - a.gap)[0];
  const groups = make("div", { class: "groups" });
  if (!widest) groups.append(make("p", { class: "note" }, t("bias.gap.none")));
  else {
    groups.append(
      make("div", { class: "meter" }, make("strong", {}, t("bias.gap")),
        make("strong", {}, t("bias.gap.points", { n: number(widest.gap, 2) }))),
      make("p", { class: "note" }, t("bias.gap.note", { column: widest.column })),
      make("details", {}, make("summary", {}, t("curve.table")),
        table([widest.column, t("bias.popularity")], widest.groups.map((g) => [g.group, number(g.popularity, 1)]), [1])));
  }
  box.replaceChildren(
    make("p", { class: "note" }, t("bias.note", { n: number(bias.visitors), k: bias.k })),
    make("dl", { class: "meters" }, ...rows), groups);
}

function ordinal(value) {
  const n = Math.round(value);
  if (language() === "zh") return String(n);
  const ending = { one: "st", two: "nd", few: "rd", other: "th" };
  return `${n}${ending[new Intl.PluralRules("en", { type: "ordinal" }).select(n)]}`;
}

function showTiming() {
  showKpis();
  const ms = (value) => (Number.isFinite(value) ? `${number(value, value < 10 ? 1 : 0)} ms` : "–");
  const rows = state.timing.slice(0, 8).map((row) =>
    [`${row.method} ${row.route}`, number(row.count), ms(row.p50), ms(row.p99), number(row.failed)]);
  const heads = ["route", "count", "p50", "p99", "failed"].map((key) => t(`latency.${key}`));
  find("#latency").replaceChildren(rows.length
    ? table(heads, rows, [1, 2, 3, 4])
    : make("p", { class: "empty" }, t("latency.none")));
}

function showModels() {
  const models = state.models;
  if (!models) return;
  const serving = models.current.split("@")[0];
  const names = [...new Set([serving, ...models.available])];
  const rows = names.map((name) => make("li", {}, make("code", {}, name === serving ? models.current : name),
    name === serving
      ? make("span", { class: "tag-now" }, t("models.serving"))
      : make("button", {
        class: "small", type: "button", "aria-label": t("models.load.label", { name }),
        onclick: () => change("/v1/models", { path: name }),
      }, t("models.load"))));
  const before = models.previous
    ? [make("p", { class: "bar-top" }, make("span", { class: "note" }, `${t("models.previous")}: ${models.previous}`),
      make("button", { class: "small", type: "button", onclick: () => change("/v1/models/rollback") }, t("models.back")))]
    : [];
  find("#models").replaceChildren(make("ul", { class: "versions" }, ...rows), ...before);
}

async function change(path, body) {
  for (const button of find("#models").querySelectorAll("button")) button.disabled = true;
  try {
    state.models = await call("POST", path, body);
    announce(t("models.done", { model: state.models.current }));
    showModels();
    part("#curve", loadModel, showModel);
    part("#bias", loadBias, showBias);
    part("#items", loadItems, showItems);
  } catch (error) {
    fail(find("#models"), error, () => part("#models", loadModels, showModels));
  }
}

// Events and items

function showEvents() {
  if (!state.events) return;
  const rows = state.events.map((event) =>
    [event.title, event.event + (event.value === null ? "" : ` ${number(event.value, 1)}`), ago(event.timestamp), String(event.user)]);
  const heads = ["item", "event", "when", "user"].map((key) => t(`events.${key}`));
  find("#events").replaceChildren(rows.length
    ? table(heads, rows)
    : make("p", { class: "empty" }, t("events.none")));
}

function ago(timestamp) {
  const seconds = Math.max(0, Date.now() / 1000 - timestamp);
  const [key, size] = [["seconds", 1], ["minutes", 60], ["hours", 3600], ["days", 86400]]
    .findLast(([, unit]) => seconds >= unit || unit === 1);
  return t(`ago.${key}`, { n: number(Math.floor(seconds / size)) });
}

function showItems() {
  if (!state.page) return;
  const { total, cards: rows } = state.page;
  const heads = [t("items.title"), t("items.tags"), t("items.likes")];
  const cells = rows.map((card) => [
    make("span", { class: "withcover" }, face(card),
      make("span", { class: "clamp" }, card.title, card.new ? make("span", { class: "move fresh" }, t("items.new")) : "")),
    card.tags.join(language() === "zh" ? "、" : ", "), number(card.likes)]);
  find("#items").replaceChildren(rows.length ? table(heads, cells, [2]) : make("p", { class: "empty" }, t("items.none")));
  find("#range").textContent = total
    ? t("items.range", { from: number(state.offset + 1), to: number(state.offset + rows.length), total: number(total) }) : "";
  find("#previous").disabled = state.offset === 0;
  find("#next").disabled = state.offset + rows.length >= total;
}

function turnTo(offset) {
  state.offset = Math.max(0, offset);
  return part("#items", loadItems, showItems);
}

function table(heads, rows, numbers = []) {
  const kind = (at) => (numbers.includes(at) ? "num" : null);
  return make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head, at) => make("th", { scope: "col", class: kind(at) }, head)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, at) => make("td", { class: kind(at) }, cell))))));
}

// Adding an item

function showForm() {
  const form = find("#add");
  const kept = Object.fromEntries(new FormData(form));
  const has = new Set(state.model?.columns ?? []);
  const tags = ["genres", "tags", "categories", "category"].find((name) => has.has(name));
  const field = (name, label, kind = "", values = {}, tag = "input") => make("div", { class: kind },
    make("label", { for: `add-${name}` }, label),
    make(tag, { id: `add-${name}`, name, autocomplete: "off", ...values }));
  const fields = [
    field("item", t("add.id"), "", { required: true, maxlength: 100 }),
    field("title", t("add.name"), "", { required: true, maxlength: 300 }),
    has.has("year") ? field("year", t("add.year"), "", { inputmode: "numeric", pattern: "[0-9]{1,4}" }) : null,
    tags ? field(tags, t("add.tags", { column: tags }), has.has("year") ? "" : "wide", { maxlength: 300 }) : null,
    has.has("description") ? field("description", t("add.description"), "wide", { maxlength: 5000 }, "textarea") : null,
    make("div", { class: "wide" }, make("button", { class: "primary", type: "submit" }, t("add.go"))),
  ];
  form.replaceChildren(...fields.filter(Boolean));
  for (const [name, value] of Object.entries(kept)) {
    if (form.elements[name]) form.elements[name].value = value;
  }
}

async function addItem(event) {
  event.preventDefault();
  const form = find("#add");
  const row = {};
  for (const [name, value] of new FormData(form)) {
    if (value.trim()) row[name] = value.trim();
  }
  const outcome = find("#outcome");
  if (!row.item || !row.title) {
    outcome.replaceChildren(make("div", { class: "trouble" }, make("p", {}, t("add.needs"))));
    form.elements[row.item ? "title" : "item"].focus();
    return;
  }
  for (const name of ["genres", "tags", "categories", "category"]) {
    if (row[name]) row[name] = row[name].split(/[,，、|]/).map((part) => part.trim()).filter(Boolean);
  }
  if (row.year) row.year = Number(row.year);
  const button = find("button", form);
  button.disabled = true;
  outcome.replaceChildren(make("p", { class: "note" }, t("add.busy")));
  try {
    const begun = performance.now();
    await call("POST", "/v1/items", { items: [row] });
    const shown = await firstList(row);
    showOutcome(shown, (performance.now() - begun) / 1000);
    form.reset();
    find("#by").value = "newest";
    turnTo(0);
    part("#kpis", loadModel, showKpis);
  } catch (error) {
    fail(outcome, error);
  } finally {
    button.disabled = false;
  }
}

/** Ask for the list of a visitor who likes what is most like the new item. */
async function firstList(row) {
  const like = (await call("POST", "/v1/similar", { item: row.item, k: 50 })).items;
  const known = await cards(like.map((one) => one.item));
  const old = like.filter((one) => !known.get(one.item).new); // a visitor has met no new ones
  const near = (old.length ? old : like).slice(0, NEIGHBOURS);
  const likes = near.map((one) => ({ item: one.item, event: "like" }));
  const { items } = await call("POST", "/v1/recommend", { history: likes, k: SEARCHED });
  const at = items.findIndex((one) => String(one.item) === String(row.item));
  return { near, items, at, title: row.title };
}

async function showOutcome({ near, items, at, title }, seconds) {
  const names = near.map((one) => (language() === "zh" ? `《${short(one.title)}》` : short(one.title)));
  const likes = new Intl.ListFormat(language(), { type: "conjunction" }).format(names);
  const outcome = find("#outcome");
  if (at < 0) {
    outcome.replaceChildren(make("p", {}, t("add.absent", { k: SEARCHED, likes })));
    return;
  }
  const from = at < LISTED ? 0 : at - 3;
  const shown = items.slice(from, Math.max(from + 7, Math.min(at + 2, LISTED)));
  const known = await cards(shown.map((one) => one.item));
  outcome.replaceChildren(
    make("p", { class: "success" }, t("add.done", { seconds: number(seconds, 2) })),
    make("p", { class: "note" }, t("add.rank", { rank: number(at + 1), of: number(items.length), likes })),
    make("ol", {}, ...shown.map((one, i) => make("li", { class: from + i === at ? "mine" : null },
      make("span", { class: "rank" }, number(from + i + 1)), face(known.get(one.item)),
      make("span", { class: "clamp" }, one.title),
      from + i === at ? make("span", { class: "move fresh" }, t("add.new")) : ""))));
}

// Begin

function showAll() {
  showModel();
  showForm();
  showBias();
  showModels();
  showTiming();
  showEvents();
  showItems();
}

begin(showAll);
showForm();
for (const where of ["#curve", "#bias", "#events", "#models", "#items"]) {
  find(where).replaceChildren(make("p", { class: "empty" }, t("loading")));
}
find("#add").addEventListener("submit", addItem);
find("#by").addEventListener("change", () => turnTo(0));
find("#previous").addEventListener("click", () => turnTo(state.offset - PAGE));
find("#next").addEventListener("click", () => turnTo(state.offset + PAGE));
await part("#curve", loadModel, () => {
  showModel();
  showForm();
});
part("#bias", loadBias, showBias);
part("#models", loadModels, showModels);
part("#items", loadItems, showItems);
part("#latency", loadTiming, showTiming);
(async function live() {
  if (!document.hidden) {
    await part("#events", loadEvents, showEvents);
    await part("#latency", loadTiming, showTiming);
  }
  setTimeout(live, EVENTS_MS);
})();
