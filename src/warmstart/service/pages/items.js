// What is known of items, fetched once each; and their names, shorter where there is little room.

import { call, pictureOf } from "./api.js";
import { cover } from "./covers.js";
import { make } from "./dom.js";
import { language } from "./text.js";

const known = new Map();

/** Return the cards of items, by id. */
export async function cards(ids) {
  const wanted = [...new Set(ids)].filter((id) => !known.has(id));
  for (let start = 0; start < wanted.length; start += 200) {
    const found = await call("POST", "/v1/cards", { items: wanted.slice(start, start + 200) });
    for (const card of found.cards) known.set(card.item, card);
  }
  return new Map(ids.map((id) => [id, known.get(id)]));
}

const pictures = new Map();

/** Return an item's picture if there is one, and a drawn cover until it is here, or where not. */
export function face(card) {
  const drawn = cover(card.title, card.tags);
  if (!card.poster) return drawn;
  if (!pictures.has(card.item)) pictures.set(card.item, pictureOf(card.item));
  const box = make("span", { class: "cover framed" }, drawn);
  pictures.get(card.item)
    .then((address) => box.replaceChildren(make("img", { src: address, alt: "" })))
    .catch(() => null); // the drawn one stays
  return box;
}

const YEAR = / \((\d{4})\)$/;

export const short = (title) => title.replace(YEAR, "") || title;

/** Return "1968 · Romance, Sci-Fi", as far as it is known. */
export function about(card) {
  const year = card.year ?? YEAR.exec(card.title)?.[1];
  const tags = card.tags.slice(0, 2).join(language() === "zh" ? "、" : ", ");
  return [year, tags].filter(Boolean).join(" · ");
}
