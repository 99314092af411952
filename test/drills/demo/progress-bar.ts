/** A progress bar, such as `[#####.....]  50 %`. */
export function bar(ratio: number, width = 30): string {
  const full = Math.round(Math.min(1, Math.max(0, ratio)) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${String(Math.floor(ratio * 100)).padStart(3)} %`;
}
