import { readDuration, writeDuration } from '../config/codecs/duration.js';
import { quoted } from '../config/codecs/parse-result.js';
import { nearest } from '../config/suggest.js';
import type { FaultAnswer } from './fault-answer.js';

/** What may be done to a model process. `kill` needs no end: its supervisor starts it again. */
const PROCESS_FAULTS = ['kill', 'freeze'] as const;
export type ProcessFaultKind = (typeof PROCESS_FAULTS)[number];

/** A model process that was struck, in the JSON of `/faults`. */
export interface ProcessFaultReport {
  readonly process: ProcessFaultKind;
  /** Absent where the process serves all models. */
  readonly model?: string;
  readonly pid: number;
  /** Until it goes on by itself, ms; 0 after `kill`. */
  readonly leftMs: number;
}

/** Result of `strike`. */
export type ProcessStrike =
  | { readonly kind: 'struck'; readonly fault: ProcessFaultReport }
  | { readonly kind: 'refused'; readonly why: string };

/** Faults of the model processes that this sidecar supervises, as `/faults` reads and changes them. */
export interface ProcessFaultAdmin {
  /** `fault_injection: processes` is in the file. */
  readonly isAllowed: boolean;
  /** What the file says of `fault_injection`. */
  readonly found: string;
  /** Names of the models that have a process of their own, for `?model`. */
  readonly models: readonly string[];
  /** What is frozen now. */
  list(): readonly ProcessFaultReport[];
  /** One process, the first that serves (of this model). `forMs`: of a freeze. */
  strike(kind: ProcessFaultKind, forMs: number, model?: string): ProcessStrike;
  /** Lets what is frozen go on. Returns how many. */
  thaw(): number;
}

const DEFAULT_FOR_MS = 5_000;
/** Longer than any detector takes; a frozen process holds the calls that it has. */
const LONGEST_FOR_MS = 60_000;
const PARAMETERS = ['process', 'model', 'for'] as const;

/**
 * `POST /faults?process=kill|freeze`: strikes one model process of this sidecar. 403 where the file does not allow it, 400 for a
 * wrong parameter, 409 where no process can be struck now.
 */
export function addProcessFault(admin: ProcessFaultAdmin, query: URLSearchParams): FaultAnswer {
  if (!admin.isAllowed)
    return {
      status: 403,
      body: `fault_injection: found ${admin.found}; expected processes, which lets model processes be killed and frozen: say so in the file and start again\n`,
    };
  const mistake = mistakeIn(query, admin.models);
  if (mistake !== undefined) return { status: 400, body: `${mistake}\n` };
  const forMs = forOf(query);
  if (typeof forMs === 'string') return { status: 400, body: `${forMs}\n` };
  const kind = query.get('process') as ProcessFaultKind;
  const done = admin.strike(kind, forMs, query.get('model') ?? undefined);
  return done.kind === 'struck' ? { status: 201, body: done.fault } : { status: 409, body: `${done.why}\n` };
}

/** The first mistake in one line; undefined: there is none. */
function mistakeIn(query: URLSearchParams, models: readonly string[]): string | undefined {
  for (const name of new Set(query.keys())) {
    if (!PARAMETERS.some((known) => known === name))
      return `found the parameter ${quoted(name)} beside process; expected ${PARAMETERS.join(', ')}`;
    if (query.getAll(name).length > 1) return `${name}: found it twice; expected it once`;
  }
  const kind = query.get('process') ?? '';
  if (!PROCESS_FAULTS.some((known) => known === kind))
    return `process: found ${quoted(kind)}; expected ${PROCESS_FAULTS.join(' or ')}`;
  if (kind === 'kill' && query.has('for')) return 'for: a process that was killed is started again at once';
  const model = query.get('model');
  if (model === null || models.includes(model)) return undefined;
  const near = nearest(model, models);
  const known = near === undefined ? models.join(', ') || 'none: they share a process' : quoted(near);
  return `model: found ${quoted(model)}; expected ${known}`;
}

/** Length of a freeze, ms; a text: what is wrong with it. */
function forOf(query: URLSearchParams): number | string {
  const given = query.get('for');
  if (given === null) return DEFAULT_FOR_MS;
  const read = readDuration(given);
  if (!read.ok) return `for: ${read.problem}`;
  if (read.value > 0 && read.value <= LONGEST_FOR_MS) return read.value;
  return `for: found ${quoted(given)}; expected at least 1ms and at most ${writeDuration(LONGEST_FOR_MS)}`;
}
