// Talking to the service: the key, if one is asked for, stays in this tab.

import { make } from "./dom.js";
import { t } from "./text.js";

const KEY = "warmstart-key";

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let asking = null;

/** Ask the service; returns plain values, or throws Refused. */
export async function call(method, path, body) {
  const response = await send(method, path, body);
  return (await response.json());
}

/** Ask for lines of JSON; returns them all. */
export async function lines(method, path, body) {
  const response = await send(method, path, body);
  return (await response.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Ask for a picture; returns an address for this page alone. */
export async function pictureOf(item) {
  return URL.createObjectURL(await (await send("POST", "/v1/poster", { item })).blob());
}

/** Return the figures that the service counts, as text. */
export async function metrics() {
  return (await fetch("/metrics")).text();
}

async function send(method, path, body) {
  let sent = sessionStorage.getItem(KEY);
  for (;;) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (sent) headers.Authorization = `Bearer ${sent}`;
    let response;
    try {
      response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    } catch {
      throw new Refused(0, "offline", t("error.offline"));
    }
    if (response.ok) return response;
    if (response.status === 401) {
      const kept = sessionStorage.getItem(KEY);
      sent = kept && kept !== sent ? kept : await newKey(Boolean(sent));
      continue;
    }
    let fault = {};
    try {
      fault = (await response.json()).error ?? {};
    } catch {
      // an answer that is no JSON has no more to say than its status
    }
    if (response.status === 403) throw new Refused(403, "forbidden", t("error.scope"));
    if (response.status === 429 || response.status === 503) {
      throw new Refused(response.status, "busy", t("error.busy"));
    }
    throw new Refused(response.status, fault.code ?? "error", fault.message ?? t("error.other"));
  }
}

function newKey(wrong) {
  asking ??= askForKey(wrong).finally(() => {
    asking = null;
  });
  return asking;
}

function askForKey(wrong) {
  return new Promise((resolve) => {
    const field = make("input", {
      id: "key", type: "password", autocomplete: "off", required: true, spellcheck: "false",
      "aria-describedby": "key-note",
    });
    const dialog = make(
      "dialog", { class: "ask-key", "aria-labelledby": "key-title" },
      make("form", {},
        make("h2", { id: "key-title" }, t("key.title")),
        make("p", { id: "key-note" }, wrong ? t("key.wrong") : t("key.note")),
        make("label", { for: "key" }, t("key.label")),
        field,
        make("button", { class: "primary", type: "submit" }, t("key.go"))),
    );
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, field.value.trim());
      dialog.close();
      dialog.remove();
      resolve(field.value.trim());
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
