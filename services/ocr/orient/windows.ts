import { cut, type Picture } from '../picture.js';

/** Width of what the network sees at once: four times the height of a line. */
export const WINDOW = 192;
/** Beginning, middle and end tell more than a long line that is squeezed into one window, as PaddleOCR does it. */
const MAX_WINDOWS = 3;

/** Parts of a line, evenly spread, that together show as much of it as the windows hold. A short line is one part. */
export function windowsOf(line: Picture): Picture[] {
  if (line.width <= WINDOW) return [line];
  const count = Math.min(MAX_WINDOWS, Math.ceil(line.width / WINDOW));
  return Array.from({ length: count }, (_, i) => {
    const left = Math.round((i * (line.width - WINDOW)) / (count - 1));
    return cut(line, { left, top: 0, right: left + WINDOW, bottom: line.height });
  });
}
