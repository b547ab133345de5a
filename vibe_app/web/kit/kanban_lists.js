// The lists of cards beside @hello-pangea/dnd: what was sent, what is newer, what was dropped and is not answered yet.
import { useState } from "react";

// What is shown: `order` and `changed` are newer than `cards`, and what was dropped is newer than both.
export const shown = ({ cards, order, changed }) => {
  const all = [...Object.values(cards), Object.values(changed)].flat();
  const known = new Map(all.map((card) => [card.id, card]));
  const ids = Object.entries(cards).map(([name, list]) => [name, order[name] ?? list.map((card) => card.id)]);
  return Object.fromEntries(ids.map(([name, here]) => [name, here.flatMap((id) => known.get(id) ?? [])]));
};
export const dropped = (lists, { id, to, before }) => {
  const card = Object.values(lists).flat().find((each) => each.id === id);
  const all = Object.entries(lists).map(([name, list]) => [name, list.filter((each) => each !== card)]);
  const at = all.find(([name]) => name === to)?.[1].findIndex((each) => each.id === before) ?? -1;
  const put = (list) => (card ? list.toSpliced(at < 0 ? list.length : at, 0, card) : list);
  return Object.fromEntries(all.map(([name, list]) => [name, name === to ? put(list) : list]));
};

// The drops that wait for their answer; the first to go is the first to be answered.
export const useWaiting = (version) => {
  const [{ drops, seen }, set] = useState({ drops: [], seen: version });
  const waiting = version < seen ? [] : drops.slice(version - seen);
  if (version !== seen) set({ drops: waiting, seen: version });
  return [waiting, (drop) => set((now) => ({ ...now, drops: [...now.drops, drop] }))];
};

export const same = (one, other) =>
  Object.keys(other).every((key) => key === "card" || one[key] === other[key]) &&
  JSON.stringify(one.card) === JSON.stringify(other.card);
