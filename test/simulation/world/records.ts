/** What became of the calls of a run: the history that the oracle judges. */
import type { CallPlan } from '../plan/plan.js';

/** A call at one model. */
export interface Execution {
  readonly replica: string;
  /** Of the model; empty: it has one version only. */
  readonly version: string;
  readonly startMs: number;
  /** The whole request has arrived. */
  isRequestWhole: boolean;
  /** The model began to work: it counts as done, whatever follows. */
  hasRun: boolean;
  runMs: number;
  /** When it began to work; −1: it has not. */
  runStartMs: number;
  endMs: number;
  /** How it ended at the model; empty: it has not. */
  ended: '' | 'answered' | 'reset' | 'lost' | 'killed';
  /** That it was answered with; −1: it was not. */
  status: number;
  /** The `grpc-retry-pushback-ms` of its answer; empty: none. */
  pushback: string;
  problem: string;
  /** It had nothing to say to a stream that it was to go on with. */
  isEmpty: boolean;
  /** Of an engine: tokens of the answer that came with its prompt. */
  given: number;
  /** Whole messages of the request that have come. */
  received: number;
  /** Who called, as the sidecar of the model says. */
  readonly caller: string;
  /** When it went on after it had been silent for so long that its place was given away, while the model would have taken more. */
  readonly wokenMs: number[];
}

export interface CallRecord {
  readonly plan: CallPlan;
  startMs: number;
  /** −1: it has not ended. */
  endMs: number;
  /** −1: it ended without one. */
  status: number;
  message: string;
  reason: string;
  /** Of `grpc-message`. */
  messageBytes: number;
  /** Code of the reset that ended it; −1: none, −2: its connection ended. */
  resetCode: number;
  isCancelled: boolean;
  /** How often it ended. */
  ends: number;
  /** Messages of the request that its application has sent. */
  sent: number;
  received: number;
  /** When part of the response last came; −1: none has. */
  lastDataMs: number;
  /** When an application or a model last got part of it, or a model began to work for it. */
  movedMs: number;
  isComplete: boolean;
  isDegraded: boolean;
  /** Executions whose tokens its answer has, by their place, where these are drawn. */
  drawnBy: readonly number[];
  problem: string;
  /** Of the response headers. */
  answeredBy: string;
  readonly executions: Execution[];
  /** At the queues of models, by the clock. */
  readonly arrivals: { readonly replica: string; readonly atMs: number }[];
  trailers: Readonly<Record<string, string>>;
  /** Faults that wait for its answer to come so far, or for a second replica; each is told of what a replica gets and sends. */
  readonly onSent: Set<(sent: Sent) => void>;
}

/** A replica has got a call, or has sent more of an answer. */
export interface Sent {
  readonly record: CallRecord;
  readonly execution: Execution;
  /** Of its messages or tokens, 0 to 1. */
  readonly share: number;
  /** The last message is there in part. */
  readonly isInMessage: boolean;
  /** It has just got the call. */
  readonly isBegun: boolean;
}

export function recordOf(plan: CallPlan): CallRecord {
  return {
    plan,
    startMs: -1,
    endMs: -1,
    status: -1,
    message: '',
    reason: '',
    messageBytes: 0,
    resetCode: -1,
    isCancelled: false,
    ends: 0,
    sent: 0,
    received: 0,
    lastDataMs: -1,
    movedMs: -1,
    isComplete: false,
    isDegraded: false,
    drawnBy: [],
    problem: '',
    answeredBy: '',
    executions: [],
    arrivals: [],
    trailers: {},
    onSent: new Set(),
  };
}
