// What all pages share: header, footer, language, and how failures look.

import { find, icon, make } from "./dom.js";
import { language, switchLanguage, t, translate } from "./text.js";

const PAGES = [["/", "nav.first"], ["/why.html", "nav.why"], ["/operator.html", "nav.operator"]];

/** Dress the page; `render` is called again when the language changes. */
export function begin(render) {
  const here = location.pathname === "/index.html" ? "/" : location.pathname;
  const links = PAGES.map(([path, key]) =>
    make("a", { href: path, "data-t": key, "aria-current": path === here ? "page" : null }));
  const other = make("button", {
    class: "quiet language", type: "button", "data-t": "language", "data-t-label": "language.label",
    onclick: () => {
      switchLanguage();
      update();
    },
  });
  document.body.prepend(
    make("a", { class: "skip", href: "#main", "data-t": "skip" }),
    make("header", { class: "top" },
      make("a", { class: "brand", href: "/" }, icon("flame"), "warmstart"),
      make("nav", { "data-t-label": "nav.label" }, ...links),
      other));
  document.body.append(make("footer", { class: "foot", "data-t": "footer" }));

  function update() {
    other.lang = language() === "zh" ? "en" : "zh-Hans";
    translate();
    render();
  }
  translate();
  other.lang = language() === "zh" ? "en" : "zh-Hans";
  document.documentElement.dataset.ready = "";
}

/** Show what went wrong, with a way to try again. */
export function fail(where, error, again, key = "retry") {
  const children = [make("p", {}, error.message || t("error.other"))];
  if (again) children.push(make("button", { type: "button", onclick: again }, t(key)));
  where.replaceChildren(make("div", { class: "trouble", role: "alert" }, ...children));
}

/** Tell screen readers. */
export function announce(text) {
  find("#live").textContent = text;
}
