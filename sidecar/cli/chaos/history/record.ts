/**
 * What one run of `outrider chaos` writes down, before anything is computed from it: each call as its client saw it, each
 * execution as a model saw it, and marks for what happened meanwhile. The checker (`check.ts`) and the report read nothing else.
 *
 * Times are milliseconds on one monotonic clock of the run, whose 0 is the begin of its load. Processes of one machine share
 * that clock (`CLOCK_MONOTONIC`, which is what `process.hrtime` reads). A time before the load is negative.
 */

/** The arms of a drill, in the order of reports: what stands between the clients and the models. */
export const ARM_NAMES = ['outrider', 'pick-first', 'round-robin', 'envoy'] as const;

/**
 * `outrider`: a sidecar beside the clients and one beside each model. `pick-first`: grpc-js alone with its default policy.
 * `round-robin`: grpc-js with `round_robin` and retries by its service config. `envoy`: Envoy in the place of the sidecars.
 */
export type ArmName = (typeof ARM_NAMES)[number];

/** Length of one interval of {@link ArmRun.clientLagMs}, in milliseconds. */
export const LAG_INTERVAL_MS = 100;

/** What any client notes of one call, whatever it asks. */
export interface NotedCall {
  /** When the client made the call. */
  readonly startMs: number;
  /** When its status reached the client; for a call without one, when the client gave it up. */
  readonly endMs: number;
  /** gRPC status code; 0 is OK. */
  readonly status: number;
  /** How often the client was told the end of this call; 1 is right, 0 is a call that hung until it was given up. */
  readonly answers: number;
  /** The answer says itself that it comes from a fallback (`outrider-degraded`). */
  readonly degraded: boolean;
  /** `outrider-reason` of the answer: why a sidecar answered by itself. */
  readonly reason?: string;
  /** Name of the replica that answered, as the model echoed it. */
  readonly endpoint?: string;
}

/** What the checker reads of a call. */
export interface CheckedCall extends NotedCall {
  /** Unique in the history; sent with the request, echoed in the answer and logged by each model that executes the call. */
  readonly id: string;
  /** The moment (not the length) by which it must be answered; undefined without a deadline. */
  readonly deadlineMs: number | undefined;
  /** False for a call that a model must not execute twice. */
  readonly idempotent: boolean;
  /**
   * `right`: status 0 and the content that was expected, all messages of it. `wrong`: status 0 and other content. `none`: any
   * other status.
   */
  readonly answer: 'right' | 'wrong' | 'none';
  /** The id that the model echoed. Another one than `id` is an answer to the wrong caller; undefined where none was echoed. */
  readonly answeredId?: string;
  /** Absent: all calls of the history are of one drill, one arm and one model. */
  readonly drill?: string;
  readonly arm?: ArmName;
  /** `golden`: the golden input of a model of a running mesh. */
  readonly model?: 'digits' | 'long' | 'stream' | 'tokens' | 'golden';
}

/** One call of a run as its client saw it. */
export interface CallRecord extends CheckedCall {
  readonly drill: string;
  readonly arm: ArmName;
  readonly model: NonNullable<CheckedCall['model']>;
  readonly client: string;
  /** Messages of the answer, of a stream. */
  readonly messages?: number;
  /**
   * True for a call that is itself the fault, such as a poison request: it has to keep the invariants, and is no part of
   * availability, latency and the other figures of the load.
   */
  readonly isFault?: true;
}

/** One execution of a call as a model logged it, when it began and when it had its answer. */
export interface ExecutionRecord {
  readonly callId: string;
  /** Name of the replica, as in {@link MarkRecord.replica} and {@link CallRecord.endpoint}. */
  readonly replica: string;
  readonly startMs: number;
  /** Undefined where the process ended or the call was cancelled first. */
  readonly endMs?: number;
  /** When the run was over, of a call whose caller had gone by then. */
  readonly cancelledMs?: number;
}

/**
 * Kinds of marks. `fault-began` and `fault-ended` enclose the fault (several pairs are allowed; a fault that lasts to the end of
 * the run has no end). `ejected` and `restored` are an endpoint leaving and entering the choice of the caller's side;
 * `died` and `restarted` are processes of models, sidecars or agents. `note` is anything else worth a line.
 */
export const MARK_KINDS = [
  'fault-began',
  'fault-ended',
  'ejected',
  'restored',
  'died',
  'restarted',
  'note',
] as const;

export type MarkKind = (typeof MARK_KINDS)[number];

/** Something that happened during a run, with a text for readers. */
export interface MarkRecord {
  readonly atMs: number;
  readonly kind: MarkKind;
  /** The replica it happened to; required for `ejected` and `restored`. */
  readonly replica?: string;
  readonly text: string;
}

/** What the checker judges: the same for a run of `outrider chaos` and for any load that notes its calls. */
export interface History {
  readonly drill?: string;
  readonly arm?: ArmName;
  /** All calls, in any order. */
  readonly calls: readonly CheckedCall[];
  /** All executions, in any order; also those of calls that no client made, such as probes of a sidecar. */
  readonly executions: readonly ExecutionRecord[];
  readonly marks: readonly MarkRecord[];
  /**
   * How late the client's own event loop was, in milliseconds: element i is the greatest lateness within the i-th
   * {@link LAG_INTERVAL_MS} of the run. It is no fault of an arm.
   */
  readonly clientLagMs: readonly number[];
  /** Nothing is wrong in this drill: what an arm does about a replica does harm. */
  readonly isHarmless?: true;
  /** Replicas that only stand in: what they answer must be marked as degraded. Default: none. */
  readonly standIns?: readonly string[];
  /** Models of a running mesh log no executions: what rests on them is not checked. */
  readonly hasNoExecutions?: true;
  /** Replicas that clients may be sent to, with the stand-ins; named here, so that a share of them can be computed. */
  readonly replicas: readonly string[];
}

/** One drill with one arm, run once. A drill that is repeated has several of them. */
export interface ArmRun extends History {
  /** Name of the drill, as in {@link DrillText.name}. */
  readonly drill: string;
  readonly arm: ArmName;
  /** Length of the load, in seconds. */
  readonly seconds: number;
  readonly calls: readonly CallRecord[];
  /** CPU time of everything between clients and models (sidecars, Envoy), or of the client where that is the arm; milliseconds. */
  readonly cpuMs?: number;
  /** Attempts that the arm sent to models, where it counts them; executions are counted otherwise. */
  readonly attempts?: number;
  /** Why the drill was stopped before its time; absent: it was not. */
  readonly stopped?: string;
}

/** What readers are told of a drill. */
export interface DrillText {
  /** As on the command line, such as `slow`. */
  readonly name: string;
  /** A few words, such as `One replica is ten times slower`. */
  readonly title: string;
  /** One sentence: what is done to which process, and for how long. */
  readonly does: string;
}

/** An arm that a drill was not run with, and why. */
export interface SkippedArm {
  readonly drill: string;
  readonly arm: ArmName;
  readonly because: string;
  /** True: the arm has nothing that the fault could break, so that there is nothing to compare. Absent: it could not be run. */
  readonly isUntouched?: true;
}

/** What was run, where, and with which programs. */
export interface RunAbout {
  /** The command line, as it was typed. */
  readonly command: string;
  /** Begin, in ISO 8601. */
  readonly startedAt: string;
  /** Length of the whole command, in seconds. */
  readonly seconds: number;
  /** Processors that the process may use. */
  readonly cores: number;
  /** Name of the processor, as the system gives it. */
  readonly processor: string;
  /** Name and version of the operating system. */
  readonly system: string;
  /** Versions by program: outrider, node, grpc-js, envoy, consul. */
  readonly versions: Readonly<Record<string, string>>;
  /** One sentence for each arm about how it is set: policy, retries, detection. */
  readonly arms: Readonly<Partial<Record<ArmName, string>>>;
}

/** Everything that a report is made from; the file `history.json`. */
export interface ChaosHistory {
  readonly format: 1;
  readonly about: RunAbout;
  /** In the order of the report. */
  readonly drills: readonly DrillText[];
  readonly runs: readonly ArmRun[];
  readonly skipped: readonly SkippedArm[];
}
