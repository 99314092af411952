import { quoted } from '../config/codecs/parse-result.js';
import { present } from '../config/present.js';
import { nearest } from '../config/suggest.js';
import { durationOf, Mistake, mistakeAnswer, refuseRepeated, refuseUnknown } from './query.js';
import type { Reply } from './reply.js';

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

/** What is asked for. */
interface Strike {
  readonly kind: ProcessFaultKind;
  /** Of a freeze. */
  readonly forMs: number;
  readonly model?: string;
}

/**
 * `POST /faults?process=kill|freeze`: strikes one model process of this sidecar. 403 where the file does not allow it, 400 for a
 * wrong parameter, 409 where no process can be struck now.
 */
export function addProcessFault(admin: ProcessFaultAdmin, query: URLSearchParams): Reply {
  if (!admin.isAllowed)
    return {
      status: 403,
      body: `fault_injection: found ${admin.found}; expected processes, which lets model processes be killed and frozen: say so in the file and start again\n`,
    };
  let strike: Strike;
  try {
    strike = readStrike(query, admin.models);
  } catch (error) {
    return mistakeAnswer(error);
  }
  const done = admin.strike(strike.kind, strike.forMs, strike.model);
  return done.kind === 'struck' ? { status: 201, body: done.fault } : { status: 409, body: `${done.why}\n` };
}

function readStrike(query: URLSearchParams, models: readonly string[]): Strike {
  refuseUnknown(query, PARAMETERS);
  refuseRepeated(query);
  const given = query.get('process') ?? '';
  const kind = PROCESS_FAULTS.find((known) => known === given);
  if (kind === undefined)
    throw new Mistake(`process: found ${quoted(given)}; expected ${PROCESS_FAULTS.join(' or ')}`);
  if (kind === 'kill' && query.has('for'))
    throw new Mistake('for: a process that was killed is started again at once');
  const forMs = durationOf(query, 'for', LONGEST_FOR_MS) ?? DEFAULT_FOR_MS;
  return { kind, forMs, ...present('model', modelOf(query, models)) };
}

function modelOf(query: URLSearchParams, models: readonly string[]): string | undefined {
  const model = query.get('model') ?? undefined;
  if (model === undefined || models.includes(model)) return model;
  const near = nearest(model, models);
  const known = near === undefined ? models.join(', ') || 'none: they share a process' : quoted(near);
  throw new Mistake(`model: found ${quoted(model)}; expected ${known}`);
}
