import { type HalfHour, SLOT_MS, SLOTS } from '../../core/history/half-hour.js';

/** Minutes that charts and strips may show: a mesh that has run for one would be a dot at the end of thirty. */
const MINUTES = [5, 10, 20, 30];

/** How many slots are shown, of histories that are laid side by side. @param last the slot of now. */
export function shownSlots(histories: Iterable<HalfHour>, last: number): number {
  let first = last;
  for (const history of histories)
    if (history.firstWritten !== -1) first = Math.min(first, history.firstWritten);
  const known = last - first + 1;
  const slots = MINUTES.map((minutes) => (minutes * 60_000) / SLOT_MS);
  return slots.find((each) => each >= known) ?? SLOTS;
}
