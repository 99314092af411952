/** How figures are written for people, alike on the page, in the terminal and in the README. */

/** A whole number with commas between thousands. */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** A length of time: ms below a second, otherwise seconds. */
export function duration(ms: number | 'never'): string {
  if (ms === 'never') return 'never';
  if (ms === 0) return '0 s';
  if (ms < 10) return `${trimmed(ms, 1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${trimmed(ms / 1_000, ms < 10_000 ? 2 : 1)} s`;
}

/** How soon calls were well again, with words in place of a time that is none. */
export function recoveryText(ms: number | 'never'): string {
  if (ms === 'never') return 'not recovered';
  return ms === 0 ? 'not disturbed' : `recovered in ${duration(ms)}`;
}

/** A share as per cent. Cut, not rounded: what is below 100 % never reads as 100 %. */
export function percent(share: number): string {
  const cut = Math.floor(share * 10_000 + 1e-6) / 100;
  return `${cut === 0 && share > 0 ? '< 0.01' : trimmed(cut, 2)} %`;
}

/** A difference of shares in percentage points. */
export function points(share: number): string {
  return `${trimmed(share * 100, 1)} points`;
}

function trimmed(value: number, decimals: number): string {
  return String(Number(value.toFixed(decimals)));
}
