import { request } from 'node:http';
import { systemTimers } from '../../runtime/time/timers.js';
import { adminTarget } from '../admin-client.js';
import { CommandFailure, oneLine } from '../failure.js';
import type { HttpTarget } from '../http-request.js';
import { parsePeerJson } from '../peer-json.js';
import { endRequests } from '../signals.js';
import { adminTargets, namedTargets, type Target } from '../status/status.js';
import { paletteFor } from '../terminal.js';
import { EventReader, type StreamEvent } from './event-stream.js';
import { type Followed, followAll } from './follow.js';
import { type TappedCall, tapLine } from './tap-line.js';
import { type TapBounds, tapQuery } from './tap-query.js';

export interface TapCommandOptions extends TapBounds {
  /** Admin addresses; empty: every sidecar of the mesh of `mesh`. */
  readonly admin: readonly string[];
  /** Mesh file of a mesh that `up` runs here; absent: the mesh of this folder. */
  readonly mesh?: string;
  /** Ends after so many calls; 0: at Ctrl-C. */
  readonly count: number;
  readonly json: boolean;
}

/** What happens at one sidecar. */
interface TapEvents {
  call(sidecar: string, call: TappedCall): void;
  dropped(sidecar: string, count: number): void;
}

/** Until the first bytes of the answer; what follows may take as long as it likes. */
const CONNECT_TIMEOUT_MS = 3_000;
/** A sidecar writes every second, be it a comment: one that is silent for longer has been stopped or hangs. */
const SILENT_MS = 5_000;

/**
 * `outrider tap FILTER`: prints calls as they end, from all sidecars at once, until Ctrl-C, until `count` were shown, or until no
 * sidecar answers any more. One that hangs or restarts is said on standard error and asked again, as are counts of calls that were not shown.
 *
 * @returns the exit code: 1 when all sidecars ended before, else 0.
 * @throws CommandFailure where none of them answers, or takes the filter.
 */
export async function tapCommand(words: readonly string[], options: TapCommandOptions): Promise<number> {
  const query = tapQuery(words, options);
  const targets = await namedTargets(adminTargets(options));
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
  const all = followAll(targets, {
    open: (target) => open(target, query, events),
    say: (line) => void process.stderr.write(`${line}\n`),
    timers: systemTimers,
  });
  try {
    const gone = await Promise.race([ended.then(() => undefined), all.gone]);
    if (gone?.wasOpen === false) throw new CommandFailure(`${gone.name}: ${gone.why}`);
    if (gone === undefined) return 0;
    process.stderr.write('no sidecar answers any more\n');
    return 1;
  } finally {
    all.close();
  }
}

/** Follows one sidecar until it ends, hangs, or has refused. */
function open({ name, address }: Target, query: URLSearchParams, events: TapEvents): Followed {
  let target: HttpTarget;
  try {
    target = adminTarget(address);
  } catch (error) {
    return { opened: new Promise(() => {}), done: Promise.resolve(oneLine(error)), close: () => {} };
  }
  const asked = request({ ...target, path: `/tap?${query}`, headers: { host: 'localhost' }, agent: false });
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const tell = ({ name: kind, data }: StreamEvent): void => {
    if (kind === 'dropped') events.dropped(name, Number(data));
    else events.call(name, parsePeerJson(data) as TappedCall);
  };
  const done = new Promise<string>((resolve) => {
    const over = (why: string): void => {
      resolve(why);
      asked.destroy();
    };
    const late = setTimeout(() => over(`no answer in ${CONNECT_TIMEOUT_MS} ms`), CONNECT_TIMEOUT_MS);
    asked.on('error', (error) => over(oneLine(error)));
    asked.on('close', () => clearTimeout(late));
    asked.setTimeout(SILENT_MS, () => over(`nothing from it for ${SILENT_MS} ms`));
    asked.on('response', (response) => {
      clearTimeout(late);
      response.setEncoding('utf8');
      const reader = new EventReader();
      let refusal = '';
      if (response.statusCode === 200) open();
      response.on('data', (piece: string) => {
        try {
          if (response.statusCode !== 200) refusal += piece;
          else for (const event of reader.read(piece)) tell(event);
        } catch (error) {
          over(oneLine(error)); // this is no sidecar
        }
      });
      response.on('error', () => over('it has ended'));
      response.on('end', () => {
        if (response.statusCode === 200) return over('it has ended');
        over(refusal.trim().split('\n', 1)[0] || `answered ${response.statusCode}`);
      });
    });
  });
  asked.end();
  return { opened, done, close: () => asked.destroy() };
}
