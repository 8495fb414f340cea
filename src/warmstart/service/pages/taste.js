// What this visitor has said, kept in this tab: votes, questions passed over, words.

import { call } from "./api.js";
import { hash } from "./covers.js";

const NAME = "warmstart-taste";

const empty = () => ({ visitor: `visitor-${random()}`, votes: [], passed: [], words: "", changes: 0 });

function random() {
  return [...crypto.getRandomValues(new Uint8Array(6))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function read() {
  try {
    return { ...empty(), ...JSON.parse(sessionStorage.getItem(NAME) ?? "{}") };
  } catch {
    return empty();
  }
}

export const taste = read();

function keep() {
  sessionStorage.setItem(NAME, JSON.stringify(taste));
}
keep();

/** Remember a vote ("like" or "dislike"), the last one on an item; the service keeps it, too. */
export function vote(card, event) {
  taste.votes = taste.votes.filter((one) => one.item !== card.item);
  taste.votes.push({ item: card.item, title: card.title, tags: card.tags ?? [], event });
  return kept(card.item, event);
}

/** Take a vote back, here and in the service: neither counts it any more. */
export function unvote(item) {
  taste.votes = taste.votes.filter((one) => one.item !== item);
  return kept(item, "undo");
}

function kept(item, event) {
  taste.changes += 1;
  keep();
  const id = `${taste.visitor}-${taste.changes}-${hash(String(item))}`;
  const said = { id, user: taste.visitor, item, event };
  // the list comes from the votes in this tab; a key that may not write is no reason to stop
  return call("POST", "/v1/events", { events: [said] }).catch(() => null);
}

export function pass(item) {
  taste.passed.push(item);
  keep();
}

export function say(words) {
  taste.words = words;
  keep();
}

/** Delete everything, here and in the service. */
export async function forget() {
  const gone = taste.visitor;
  Object.assign(taste, empty());
  keep();
  await call("DELETE", `/v1/users/${encodeURIComponent(gone)}`).catch(() => null);
}

/** Return the votes as a request holds them. */
export function history() {
  return taste.votes.map(({ item, event }) => ({ item, event }));
}
