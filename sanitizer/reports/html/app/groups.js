// Cards: findings about one label row share one, and so do those about one image or label file as a whole.

import { F, rowKey } from "./data.js";

function cardKey(i) {
  return rowKey(i) ?? (F.image[i] !== null ? `image:${F.image[i]}` : F.label[i] !== null ? `label:${F.label[i]}` : `finding:${i}`);
}

/** Findings as cards, in the order in which each card's first finding comes: lists of indexes. */
export function grouped(indexes) {
  const byKey = new Map();
  for (const i of indexes) {
    const key = cardKey(i);
    const known = byKey.get(key);
    if (known) known.push(i);
    else byKey.set(key, [i]);
  }
  return [...byKey.values()];
}
