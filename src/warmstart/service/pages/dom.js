// Making elements; every text goes in as text.

/** Return an element: `make("p", {class: "note"}, "text", child)`; `on…` keys are listeners. */
export function make(name, values = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (key.startsWith("on")) {
      node.addEventListener(key.slice(2), value);
    } else if (value === true) {
      node.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(key, value);
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const find = (selector, within = document) => within.querySelector(selector);

const PATHS = {
  like: "M12 20.5 4.6 13a4.9 4.9 0 0 1 0-6.9 4.8 4.8 0 0 1 6.8 0l.6.6.6-.6a4.8 4.8 0 0 1 6.8 0 4.9 4.9 0 0 1 0 6.9Z",
  dislike: "M6 6l12 12M18 6 6 18",
  undo: "M6 6l12 12M18 6 6 18",
  unseen: "M4 12h16",
  star: "M12 3.5l2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9L3.5 9.7l5.9-.8Z",
  arrow: "M5 12h14M13 6l6 6-6 6",
  flame: "M12 2.5c.6 3.6 5.8 6 5.8 11.2a5.8 5.8 0 0 1-11.6 0c0-2.3 1.1-3.6 2.2-4.7.2 1.6.9 2.5 1.8 2.9C9.9 8.3 10.5 5 12 2.5Z",
};

/** Return a drawn icon; the control that holds it has the name. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
