// Small drawings. Each stands beside the same figures as text.

const SPACE = "http://www.w3.org/2000/svg";

export function draw(name, values = {}, ...children) {
  const node = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function picture(width, height, label, ...children) {
  const values = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" };
  Object.assign(values, label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" });
  return draw("svg", values, ...children);
}

/** A bar from the middle: to the right for, to the left against; `weight` is from -1 to 1. */
export function diverging(weight) {
  const reach = Math.max(0.5, Math.min(1, Math.abs(weight)) * 98);
  return picture(200, 18, "",
    draw("line", { x1: 100, x2: 100, y1: 0, y2: 18, class: "axis" }),
    draw("rect", {
      x: weight < 0 ? 100 - reach : 100, y: 3, width: reach, height: 12, rx: 2,
      class: weight < 0 ? "against" : "toward",
    }));
}

/** A share from 0 to 1, with a tick where it would be if nothing were favoured. */
export function meter(share, even = null) {
  const children = [
    draw("rect", { x: 0, y: 0, width: 100, height: 6, class: "track" }),
    draw("rect", { x: 0, y: 0, width: 100 * Math.max(0, Math.min(1, share)), height: 6, class: "fill" }),
  ];
  if (even !== null) children.push(draw("rect", { x: 100 * even - 0.3, y: 0, width: 0.6, height: 6, class: "tick" }));
  return picture(100, 6, "", ...children);
}

/** One score among others, and one standard deviation to either side. */
export function interval(score, doubt, others, label) {
  const all = [...others, score - doubt, score + doubt];
  const low = Math.min(...all);
  const span = Math.max(...all) - low || 1;
  const x = (value) => 12 + (576 * (value - low)) / span;
  const svg = picture(600, 56, label,
    draw("line", { x1: 4, x2: 596, y1: 28, y2: 28, class: "track" }),
    ...others.map((other) => draw("circle", { cx: x(other), cy: 28, r: 4, class: "others" })),
    draw("rect", { x: x(score - doubt), y: 19, width: Math.max(2, x(score + doubt) - x(score - doubt)), height: 18, rx: 9, class: "band" }),
    draw("circle", { cx: x(score), cy: 28, r: 8, class: "dot" }));
  svg.setAttribute("preserveAspectRatio", "xMidYMid meet");
  return svg;
}

/** Lines over the number of answers, as wide as there is room: rows of {shots, model, popularity}. */
export function curve(rows, names, label, room) {
  const [width, height] = [Math.max(280, Math.min(640, room)), 270];
  const [left, right, top, bottom] = [44, 106, 14, 40];
  const highest = Math.max(...rows.flatMap((row) => [row.model, row.popularity ?? 0])) * 1.12 || 1;
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5].find((s) => highest / s <= 5) ?? 1;
  const x = (at) => left + ((width - left - right) * at) / Math.max(1, rows.length - 1);
  const y = (value) => top + (height - top - bottom) * (1 - value / highest);
  const text = (values, content, kind = "") => draw("text", { ...values, class: kind }, content);
  const parts = [];
  for (let value = 0; value <= highest; value += step) {
    parts.push(draw("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid-line" }));
    parts.push(text({ x: left - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(step < 0.1 ? 2 : 1)));
  }
  rows.forEach((row, at) => parts.push(text({ x: x(at), y: height - bottom + 20, "text-anchor": "middle" }, String(row.shots))));
  parts.push(text({ x: (left + width - right) / 2, y: height - 2, "text-anchor": "middle" }, names.shots));
  const path = (of) => rows.map((row, at) => `${at ? "L" : "M"}${x(at)} ${y(row[of])}`).join("");
  const last = rows.length - 1;
  if (rows.every((row) => row.popularity !== undefined)) {
    parts.push(draw("path", { d: path("popularity"), class: "popularity" }));
    parts.push(text({ x: x(last) + 12, y: y(rows[last].popularity) + 4 }, names.popularity));
  }
  parts.push(draw("path", { d: path("model"), class: "model" }));
  parts.push(...rows.map((row, at) => draw("circle", { cx: x(at), cy: y(row.model), r: 5 })));
  parts.push(text({ x: x(last) + 12, y: y(rows[last].model) + 4 }, names.model, "of-model"));
  const svg = picture(width, height, label, ...parts);
  svg.setAttribute("preserveAspectRatio", "xMidYMid meet");
  return svg;
}
