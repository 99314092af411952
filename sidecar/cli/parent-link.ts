/**
 * How a sidecar that `up` has started speaks with it: one JSON object per line on standard output, and the end of
 * standard input as the news that `up` is gone.
 *
 * A parent that is stopped (Ctrl-Z) reads nothing; the sidecar then drops news rather than wait for it.
 */

import type { ModelReport } from '../admin/view.js';

export type SidecarEvent =
  | { readonly event: 'listening'; readonly addresses: unknown }
  /** Reasons, each in one sentence; empty when ready. */
  | { readonly event: 'readiness'; readonly notReady: readonly string[] }
  | { readonly event: 'model'; readonly report: ModelReport }
  | { readonly event: 'reloaded'; readonly changes: readonly string[] }
  | { readonly event: 'reload-refused'; readonly problem: string }
  | { readonly event: 'draining' };

/** Set to `1` by a parent that holds the other end of standard input and reads standard output. */
export const PARENT_MARK = 'OUTRIDER_PARENT_STDIN';

const MAX_UNREAD_BYTES = 65_536;
const MAX_LINE_BYTES = 65_536;

export class ParentLink {
  /** Undefined when no parent asked for it. */
  static open(env: Readonly<Record<string, string | undefined>>): ParentLink | undefined {
    return env[PARENT_MARK] === '1' ? new ParentLink() : undefined;
  }

  send(event: SidecarEvent): void {
    if (process.stdout.writableLength < MAX_UNREAD_BYTES) process.stdout.write(`${JSON.stringify(event)}\n`);
  }

  /** Calls `fn` once, when the parent has ended in whatever way. */
  onGone(fn: () => void): void {
    process.stdin.once('end', fn);
    process.stdin.once('error', fn);
    process.stdin.resume();
  }
}

/** Reads the events of one sidecar; lines that are none are skipped. */
export function readEvents(output: NodeJS.ReadableStream, onEvent: (event: SidecarEvent) => void): void {
  let rest = '';
  output.setEncoding('utf8');
  output.on('error', () => {});
  output.on('data', (part: string) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop()!.slice(-MAX_LINE_BYTES);
    for (const line of lines) {
      const event = parse(line);
      if (event !== undefined) onEvent(event);
    }
  });
}

function parse(line: string): SidecarEvent | undefined {
  if (!line.startsWith('{"event":')) return undefined;
  try {
    return JSON.parse(line) as SidecarEvent;
  } catch {
    return undefined;
  }
}
