import { request } from 'node:http';
import { CommandFailure, oneLine } from '../failure.js';
import { endRequests } from '../signals.js';
import { adminTargets, type Target } from '../status/status.js';
import { paletteFor } from '../terminal.js';
import { EventReader } from './event-stream.js';
import { type TappedCall, tapLine } from './tap-line.js';
import { type TapBounds, tapQuery } from './tap-query.js';

export interface TapCommandOptions extends TapBounds {
  /** Admin addresses; empty: every sidecar of the meshes that `up` runs here. */
  readonly admin: readonly string[];
  /** Ends after so many calls; 0: at Ctrl-C. */
  readonly count: number;
  readonly json: boolean;
}

/** What happens at one sidecar. */
interface TapEvents {
  call(sidecar: string, call: TappedCall): void;
  dropped(sidecar: string, count: number): void;
}

/** Until the first octets of the answer; what follows may take as long as it likes. */
const CONNECT_TIMEOUT_MS = 3_000;

/**
 * `outrider tap FILTER`: prints calls as they end, from all sidecars at once, until Ctrl-C, until `count` were shown, or until every
 * sidecar has ended. Calls that were not shown are counted on standard error.
 *
 * @returns the exit code: 1 when sidecars ended before, else 0.
 * @throws CommandFailure where a sidecar does not answer, or does not take the filter.
 */
export async function tapCommand(words: readonly string[], options: TapCommandOptions): Promise<number> {
  const query = tapQuery(words, options);
  const targets = adminTargets(options.admin);
  const palette = paletteFor(process.stdout, process.env);
  const { first: ended, ask } = endRequests();
  process.stdout.on('error', () => process.exit(0)); // the reader left
  let shown = 0;
  const events: TapEvents = {
    call: (sidecar, call) => {
      if (options.count > 0 && shown === options.count) return;
      const line = options.json ? JSON.stringify({ sidecar, ...call }) : tapLine(sidecar, call, palette);
      process.stdout.write(`${line}\n`);
      if (++shown === options.count) ask('count');
    },
    dropped: (sidecar, count) => void process.stderr.write(`${sidecar}: ${count} calls not shown\n`),
  };
  const streams = targets.map((target) => open(target, query, events));
  const all = Promise.all(streams.map(({ done }) => done)).then(() => 'gone');
  try {
    return (await Promise.race([ended, all])) === 'gone' ? 1 : 0;
  } finally {
    for (const { close } of streams) close();
  }
}

/** Follows one sidecar. `done` resolves when it ends, and rejects when it cannot be followed. */
function open(
  { name, address }: Target,
  query: URLSearchParams,
  events: TapEvents,
): { readonly done: Promise<void>; close(): void } {
  const target =
    address.kind === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port };
  const asked = request({ ...target, path: `/tap?${query}`, headers: { host: 'localhost' }, agent: false });
  const done = new Promise<void>((resolve, reject) => {
    const fail = (why: string) => reject(new CommandFailure(`${name}: ${why}`));
    const late = setTimeout(() => fail(`no answer in ${CONNECT_TIMEOUT_MS} ms`), CONNECT_TIMEOUT_MS);
    asked.on('error', (error) => fail(oneLine(error)));
    asked.on('close', () => clearTimeout(late));
    asked.on('response', (response) => {
      clearTimeout(late);
      response.setEncoding('utf8');
      const reader = new EventReader();
      let refusal = '';
      response.on('data', (piece: string) => {
        if (response.statusCode !== 200) refusal += piece;
        else for (const { name: kind, data } of reader.read(piece)) tell(kind, data);
      });
      response.on('error', () => resolve());
      response.on('end', () => {
        if (response.statusCode === 200) return resolve();
        fail(refusal.trim().split('\n', 1)[0] || `answered ${response.statusCode}`);
      });
    });
    const tell = (kind: string, data: string): void => {
      if (kind === 'dropped') events.dropped(name, Number(data));
      else events.call(name, JSON.parse(data) as TappedCall);
    };
  });
  done.catch(() => {}); // told by `Promise.all`, unless the command has ended
  asked.end();
  return { done, close: () => asked.destroy() };
}
