/** A terminal session as one SVG that plays by itself: CSS only, so that it moves in a README too. */

export interface SessionLine {
  readonly kind: 'typed' | 'printed' | 'remark';
  readonly text: string;
  /** When it appeared, ms since the beginning. */
  readonly atMs: number;
}

export interface Look {
  readonly label: string;
  /** Waits longer than this are shown as this, ms. */
  readonly longestWaitMs: number;
  /** The whole stays this long at the end before it begins again, ms. */
  readonly restMs: number;
}

const CHAR = 7.25;
const LINE = 17;
const MARGIN = 16;
const TIMES = 62;

/**
 * SVG text. Each line appears in its turn, with the real time at the right of what was typed; a reader that wants no
 * motion (`prefers-reduced-motion`) sees all of it at once.
 */
export function terminalSvg(lines: readonly SessionLine[], { label, longestWaitMs, restMs }: Look): string {
  let shownMs = 0;
  const moments = lines.map(({ atMs }, i) => {
    shownMs += Math.min(longestWaitMs, atMs - (lines[i - 1]?.atMs ?? atMs));
    return shownMs;
  });
  const totalMs = shownMs + restMs;
  const columns = Math.max(...lines.map(({ text, kind }) => text.length + (kind === 'typed' ? 2 : 0)));
  const width = Math.ceil(columns * CHAR + 2 * MARGIN + TIMES);
  const height = lines.length * LINE + 2 * MARGIN;
  const keyframes = moments.map((at, i) => {
    const percent = ((100 * at) / totalMs).toFixed(2);
    return `@keyframes l${i}{0%{opacity:0}${percent}%,100%{opacity:1}}.l${i}{animation:l${i} ${(totalMs / 1000).toFixed(1)}s step-end infinite}`;
  });
  const rows = lines.map(({ kind, text, atMs }, i) => {
    const y = MARGIN + (i + 1) * LINE - 4;
    const prompt = kind === 'typed' ? '<tspan class="prompt">$ </tspan>' : '';
    const time =
      kind === 'typed'
        ? `<text x="${width - MARGIN}" y="${y}" class="time">${(atMs / 1000).toFixed(1)} s</text>`
        : '';
    return `<g class="l${i}"><text x="${MARGIN}" y="${y}" class="${kind}">${prompt}${escaped(text)}</text>${time}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(label)}">
<style>
text{font:12px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#d0d7de;white-space:pre}
.typed{fill:#fff;font-weight:600}.prompt{fill:#3fb98a}.remark{fill:#8b949e}.time{fill:#6e7681;text-anchor:end;font-size:11px}
@media (prefers-reduced-motion:no-preference){
${keyframes.join('\n')}
}
</style>
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
${rows.join('\n')}
</svg>
`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
