/**
 * A mesh of the drills: an application's sidecar, replicas of one model with a sidecar beside each, and a wire between
 * them where one is asked for. Everything is a process of its own, started from files; each row of the table opens the
 * mesh that it breaks.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { Wire } from '../../../sidecar/cli/chaos/faults/wire.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { present } from '../../../sidecar/config/present.js';
import type { EndpointReport } from '../../../sidecar/telemetry/reports.js';
import { portOf } from '../../kit/interop/programs.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarFile, type SidecarProcess } from '../../kit/process/sidecars.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { Load, type LoadOptions } from '../faults/load.js';
import { Model } from '../faults/model.js';
import { type ModelBehaviour, SINGLE_MS } from '../faults/model-protocol.js';
import { measure } from '../faults/times.js';

export const INFER = '/inference.GRPCInferenceService/ModelInfer';
export const MODEL = 'model';
export const APP = 'app';
/** What calls may fall back to. */
export const STAND_IN = 'stand-in';

/** Of most rows: safe to do twice, and one retry. */
export const RETRIED = { methods: [INFER], idempotent: true, retry: { attempts: 2 } } as const;

/** Of rows in which something hangs: an attempt ends before the call does. */
export const IMPATIENT = {
  ...RETRIED,
  attempt_timeout: '400ms',
  retry: { attempts: 2, on: ['unavailable', 'deadline_exceeded'] },
} as const;

export interface MeshPlan {
  /** Default 3. */
  readonly replicas?: number;
  /** Default 20. */
  readonly serviceMs?: number;
  /** Calls each model works on at once; default any number. */
  readonly places?: number;
  /** Bytes of each model's answer; default as many as its request has. */
  readonly answerBytes?: number;
  /** Of the caller's upstream, beside its endpoints. Routes: `RETRIED` unless said. */
  readonly upstream?: SidecarFile;
  /** Of the `inbound` block beside each model. */
  readonly inbound?: SidecarFile;
  /** Of every sidecar, at the top. */
  readonly sidecars?: SidecarFile;
  /** Of the caller's sidecar, at the top. */
  readonly caller?: SidecarFile;
  /** Another model, which answers at once, as the caller's upstream `STAND_IN`. */
  readonly hasStandIn?: boolean;
  /** Of the environment of the first replica's sidecar. */
  readonly env?: Readonly<Record<string, string>>;
  /** The way to each replica leads over a wire. */
  readonly isWired?: boolean;
  /** What else stands before a replica's sidecar, or before its model: the port to connect to in place of `port`. Absent: nothing. */
  readonly detour?: (to: 'sidecar' | 'model', replica: number, port: number) => Promise<number>;
  /** What each replica has, as the caller's file says it. Absent: nothing is said. */
  readonly models?: readonly (readonly string[])[];
}

export interface Replica {
  readonly model: Model;
  readonly sidecar: SidecarProcess;
  /** As the caller's sidecar calls it. */
  readonly endpoint: string;
  readonly wire: Wire | undefined;
}

export class DecisionMesh {
  readonly replicas: Replica[] = [];
  private readonly loads: Load[] = [];
  private standIn: Replica | undefined;
  private identity: ReturnType<SidecarBench['identity']> | undefined;
  private readonly callers: SidecarProcess[] = [];
  /** What the callers announced; in a long drill it scrolls out of what is kept of their output. */
  private readonly targets: string[] = [];

  private constructor(
    private readonly plan: MeshPlan,
    readonly bench: SidecarBench,
  ) {}

  /** Resolves when every sidecar is ready. */
  static async open(plan: MeshPlan): Promise<DecisionMesh> {
    const mesh = new DecisionMesh(plan, await SidecarBench.open());
    try {
      const identity = await mesh.bench.identity(MODEL);
      const indices = Array.from({ length: plan.replicas ?? 3 }, (_, i) => i);
      mesh.replicas.push(...(await Promise.all(indices.map((i) => mesh.startReplica(i, identity)))));
      if (plan.hasStandIn === true) {
        const other = await mesh.bench.identity(STAND_IN);
        mesh.standIn = await mesh.startReplica(indices.length, other, STAND_IN);
      }
      await mesh.startCaller();
      return mesh;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  get caller(): SidecarProcess {
    return this.callers[0]!;
  }

  get models(): readonly Model[] {
    return this.replicas.map(({ model }) => model);
  }

  /** Of the caller and of every replica. */
  get sidecars(): readonly SidecarProcess[] {
    return [this.caller, ...this.replicas.map(({ sidecar }) => sidecar)];
  }

  async behave(behaviour: ModelBehaviour): Promise<void> {
    await Promise.all(this.models.map((model) => model.behave(behaviour)));
  }

  /** SIGKILL to a replica: its sidecar and its model. */
  async kill({ sidecar, model }: Replica): Promise<void> {
    process.kill(sidecar.pid, 'SIGKILL');
    await model.kill();
  }

  get target(): string {
    return this.targets[0]!;
  }

  /** Another application's sidecar, before the same replicas, or those at the addresses. */
  async startCaller(endpoints?: readonly string[]): Promise<SidecarProcess> {
    const name = this.callers.length === 0 ? APP : `${APP}-${this.callers.length}`;
    const sidecar = await this.bench.start(name, await this.callerFile(endpoints ?? this.listed()));
    this.callers.push(sidecar);
    this.targets.push(targetOf(sidecar));
    await sidecar.ready();
    return sidecar;
  }

  /** The caller's file says from now on that the replicas have these models; resolves when it has been taken over. */
  async announceModels(models: readonly (readonly string[])[]): Promise<void> {
    await this.bench.write(APP, await this.callerFile(this.listed(models)));
    const isTaken = async () => {
      const said = (await this.endpoints()).map((each) => each.models ?? []);
      return JSON.stringify(said) === JSON.stringify(models);
    };
    await until('the caller knows the models of the replicas', isTaken, 10_000);
  }

  /** The replicas as endpoints of a file. */
  private listed(models = this.plan.models): unknown[] {
    return this.replicas.map(({ endpoint }, i) =>
      models === undefined ? endpoint : { address: endpoint, models: models[i] },
    );
  }

  private async callerFile(endpoints: readonly unknown[]): Promise<SidecarFile> {
    const { standIn, plan } = this;
    // Once: sidecars that start side by side read it while another would write it.
    this.identity ??= this.bench.identity(APP);
    return {
      service: APP,
      identity: await this.identity,
      ...plan.sidecars,
      ...plan.caller,
      outbound: {
        upstreams: {
          [MODEL]: { listen: '127.0.0.1:0', routes: [RETRIED], ...plan.upstream, endpoints },
          ...(standIn && { [STAND_IN]: { listen: '127.0.0.1:0', endpoints: [standIn.endpoint] } }),
        },
      },
    };
  }

  /** Calls to the caller's sidecar; ends with the mesh. */
  async load(options: Partial<LoadOptions> = {}): Promise<Load> {
    const load = await Load.start({ target: this.target, perSecond: 300, deadlineMs: 1_000, ...options });
    this.loads.push(load);
    return load;
  }

  /** As the caller's sidecar sees them, in the order of `replicas`. */
  async endpoints(): Promise<readonly EndpointReport[]> {
    const { endpoints } = JSON.parse((await this.caller.page('/endpoints')).text);
    return this.replicas.map(({ endpoint }) => {
      const found = (endpoints as EndpointReport[]).find(({ address }) => address === endpoint);
      if (found === undefined) throw new Error(`${endpoint} is not in /endpoints`);
      return found;
    });
  }

  async ejected(): Promise<number> {
    return (await this.endpoints()).filter(({ state }) => state === 'ejected' || state === 'probing').length;
  }

  ejections(): Promise<number> {
    return this.caller.metric('outrider_ejections_total');
  }

  retries(): Promise<number> {
    return this.caller.metric('outrider_retries_total');
  }

  /** How often a detector has tripped since now, also where so many were out already that the endpoint stayed in. */
  detections(caller = this.caller): Promise<() => Promise<number>> {
    return sinceNow(() => caller.metric('outrider_ejections_detected_total'));
  }

  /** Runs of each model in a stretch of time. */
  shares(fromMs: number, toMs = Number.POSITIVE_INFINITY): readonly number[] {
    return this.models.map((model) => model.runs(fromMs, toMs).length);
  }

  runs(fromMs: number, toMs = Number.POSITIVE_INFINITY): number {
    return sumOf(this.shares(fromMs, toMs));
  }

  /** Time until an endpoint gets no ordinary traffic; undefined when it does not happen. */
  untilIneligible(fromMs: number, limitMs: number): Promise<number | undefined> {
    const isOut = async () => (await this.endpoints()).some(({ state }) => state !== 'eligible');
    return measure(isOut, limitMs, fromMs);
  }

  /**
   * Time until the replica is sent no more than one attempt in half a second, as the caller's sidecar counts them (the
   * replica may be frozen and write nothing down). Undefined when it does not happen.
   */
  async untilSingleAttempts({ endpoint }: Replica, fromMs: number, limitMs: number) {
    const seen: { readonly atMs: number; readonly count: number }[] = [];
    let first: (typeof seen)[number] | undefined;
    const isReached = async () => {
      const atMs = performance.now();
      const count = await this.caller.metric('outrider_attempts_total', { endpoint });
      seen.push({ atMs, count });
      first = seen.find((each) => atMs - each.atMs >= SINGLE_MS && count - each.count <= 1);
      return first !== undefined;
    };
    await measure(isReached, limitMs, fromMs);
    return first && first.atMs - fromMs;
  }

  async close(): Promise<void> {
    await Promise.all(this.loads.map((load) => load.stop().catch(() => {})));
    for (const { model, sidecar } of this.replicas) {
      if (sidecar.isRunning) process.kill(sidecar.pid, 'SIGCONT');
      await model.kill();
    }
    await this.standIn?.model.kill();
    await this.bench.close();
    await Promise.all(this.replicas.map(({ wire }) => wire?.close()));
  }

  private async startReplica(
    i: number,
    identity: Awaited<ReturnType<SidecarBench['identity']>>,
    service = MODEL,
  ): Promise<Replica> {
    const { serviceMs = 20, places, answerBytes, inbound, sidecars, isWired, detour } = this.plan;
    const instance = `${service}-${i}`;
    const model = await Model.start({
      serviceMs,
      ...present('places', places),
      ...present('answerBytes', answerBytes),
    });
    const file = {
      ...{ service, instance, identity, ...sidecars },
      inbound: {
        listen: '127.0.0.1:0',
        local: detour === undefined ? model.address : `127.0.0.1:${await detour('model', i, model.port)}`,
        intentions: [{ from: APP, to: service, action: 'allow' }],
        queue: { concurrency: 256, max_waiting: 256 },
        ...inbound,
      },
    };
    const sidecar = await this.bench.start(instance, file, i === 0 ? this.plan.env : {});
    await sidecar.ready();
    const own = portOf(sidecar.address('inbound'));
    const port = (await detour?.('sidecar', i, own)) ?? own;
    const wire = isWired === true ? await Wire.open(port, seeded(7)) : undefined;
    return { model, sidecar, wire, endpoint: `127.0.0.1:${wire?.port ?? port}` };
  }
}

/** `host:port` of a listener: by default the caller's listener for the model. */
export function targetOf(sidecar: SidecarProcess, listener = `upstream ${MODEL}`): string {
  return writeAddress(sidecar.address(listener));
}

export function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** What is added to a count from now on. */
export async function sinceNow(count: () => Promise<number>): Promise<() => Promise<number>> {
  const before = await count();
  return async () => (await count()) - before;
}

/** The greatest value that is read until `toMs`. */
export async function mostOf(read: () => number | Promise<number>, toMs: number): Promise<number> {
  let most = 0;
  for (; performance.now() < toMs; await delay(50)) most = Math.max(most, await read());
  return most;
}
