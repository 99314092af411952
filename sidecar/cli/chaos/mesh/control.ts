/**
 * The hands of a drill on a running mesh: nothing but what the admin ports of its sidecars offer. No process is signalled from
 * here: the sidecar that supervises a model process does that, where its file allows it, and writes it to its audit log.
 */

import type { StatusReport } from '../../../admin/status.js';
import { writeAddress } from '../../../config/codecs/address.js';
import { writeDuration } from '../../../config/codecs/duration.js';
import type { Address } from '../../../config/model.js';
import { attempt } from '../../../runtime/attempt.js';
import { askAdmin } from '../../admin-client.js';
import { CommandFailure } from '../../failure.js';
import { viewOf } from '../arms/arm.js';
import type { Look } from '../run/observer.js';
import type { ReplicaFacts } from './guard.js';
import type { MemberReport, Members, Replica } from './members.js';

const ASK_LIMIT_MS = 2_000;
/** A takeover loads the models of a replica anew. */
const RESTART_LIMIT_MS = 300_000;
/** Faults of calls are about the calls that callers make; health checks and load reports go on. */
const METHODS = '/inference.GRPCInferenceService/*';
/** HTTP status of a request without the token. */
const UNAUTHORIZED = 401;
/** A fault that is not ended, as what asked for it was killed, ends by itself so long after it should have. */
const OVERTIME_MS = 2_000;

/** Of a replica that the caller's sidecar does not know. */
const AWAY = { state: 'disconnected', why: '' } as const;

/** A sidecar does not do what a drill asks for; the drill is left out. */
export class Refused extends CommandFailure {}

export interface MeshLook extends Look {
  readonly facts: readonly ReplicaFacts[];
}

/** Asks a sidecar what it is. @throws Error where nothing answers, or something else does. */
export async function askMember(admin: Address): Promise<MemberReport> {
  const [report, config, faultsOn] = await Promise.all([
    pageOf(admin, '/endpoints'),
    pageOf(admin, '/config'),
    faultsAt(admin),
  ]);
  return {
    admin,
    report: report as MemberReport['report'],
    config: config as MemberReport['config'],
    faultsOn,
  };
}

async function pageOf(admin: Address, path: string): Promise<unknown> {
  const { status, body } = await askAdmin(admin, path, { timeoutMs: ASK_LIMIT_MS });
  if (status !== 200) throw new Error(`${path} answered ${status}`);
  return JSON.parse(body);
}

/** Faults that are on, of calls and of processes. */
async function faultsAt(admin: Address): Promise<number> {
  const { faults = [], processes = [] } = (await pageOf(admin, '/faults')) as Partial<
    Record<'faults' | 'processes', unknown[]>
  >;
  return faults.length + processes.length;
}

/** Asks and changes the sidecars of one service and its caller. */
export class MeshControl {
  constructor(
    private readonly members: Members,
    /** Of `admin_token_file`; undefined: none is asked for. */
    private readonly token: string | undefined,
  ) {}

  /** SIGKILL to the model process of a replica, by its sidecar. */
  kill(replica: Replica): Promise<void> {
    return this.fault(replica, { process: 'kill' });
  }

  /** SIGSTOP to it; it ends after `forMs` at the latest. */
  freeze(replica: Replica, forMs: number): Promise<void> {
    return this.fault(replica, { process: 'freeze', for: writeDuration(forMs) });
  }

  /** Calls of the caller's sidecar wait so long at a replica. */
  delay(replica: Replica, delayMs: number, forMs: number): Promise<void> {
    return this.callFault(replica, { delay: writeDuration(delayMs) }, forMs);
  }

  /** Calls of the caller's sidecar end with UNAVAILABLE at a replica. */
  fail(replica: Replica, forMs: number): Promise<void> {
    return this.callFault(replica, { abort: 'unavailable' }, forMs);
  }

  /** Ends what was injected at a replica; without an error where it is away. */
  async clear({ admin }: Replica): Promise<void> {
    await this.change(admin, 'DELETE', '/faults').catch(() => {});
  }

  /** A planned restart: a successor of the sidecar takes over with models of its own. Resolves when it accepts. */
  async restart({ admin, name }: Replica): Promise<void> {
    const answer = await this.change(admin, 'POST', '/takeover', RESTART_LIMIT_MS);
    if (answer.status !== 200) throw new Refused(`${name}: ${answer.body.trim()}`);
  }

  /** Sidecars at which faults are on. One that does not answer is not counted: `look` finds that. */
  async busy(): Promise<readonly string[]> {
    const { replicas, caller } = this.members;
    const all = [caller, ...replicas];
    const counts = await Promise.all(all.map(({ admin }) => faultsAt(admin).catch(() => 0)));
    return all.flatMap(({ name }, i) => (counts[i]! > 0 ? [name] : []));
  }

  /** Asks all of them, all at once. A sidecar that does not answer is not ready. */
  async look(): Promise<MeshLook> {
    const { replicas, caller, service } = this.members;
    const [ofCaller, ...own] = await Promise.all(
      [caller.admin, ...replicas.map(({ admin }) => admin)].map((admin) => this.report(admin)),
    );
    const rows = (ofCaller?.endpoints ?? []).filter(({ upstream }) => upstream === service);
    const rowOf = (name: string) => rows.find(({ endpoint }) => endpoint === name);
    return {
      facts: replicas.map(({ name }, i) => ({
        name,
        notReady: own[i]?.notReady ?? ['its admin port does not answer'],
        getsCalls: rowOf(name)?.state === 'eligible',
      })),
      endpoints: replicas.map(({ name }) => viewOf(name, rowOf(name) ?? AWAY)),
      processes: replicas.flatMap(({ name }, i) => {
        // Where there are several models, the first one: that is the one which a sidecar strikes.
        const model = own[i]?.models?.[0] ?? own[i]?.model;
        if (model === undefined) return [];
        return [{ replica: name, pid: model.pid, isReady: model.state === 'ready', why: model.why }];
      }),
    };
  }

  private async report(admin: Address): Promise<StatusReport | undefined> {
    const answer = await askAdmin(admin, '/endpoints', { timeoutMs: ASK_LIMIT_MS }).catch(() => undefined);
    return answer?.status === 200 ? attempt(() => JSON.parse(answer.body), undefined) : undefined;
  }

  private callFault(replica: Replica, what: Record<string, string>, forMs: number): Promise<void> {
    const where = { caller: this.members.caller.name, method: METHODS };
    return this.fault(replica, { ...what, ...where, for: writeDuration(forMs + OVERTIME_MS) });
  }

  private async fault({ admin, name }: Replica, query: Record<string, string>): Promise<void> {
    const { status, body } = await this.change(admin, 'POST', `/faults?${new URLSearchParams(query)}`);
    if (status !== 201) throw new Refused(`${name}: ${body.trim()}`);
  }

  private async change(admin: Address, method: 'POST' | 'DELETE', path: string, timeoutMs = ASK_LIMIT_MS) {
    const { token } = this;
    const answer = await askAdmin(admin, path, { method, timeoutMs, ...(token !== undefined && { token }) });
    if (answer.status === UNAUTHORIZED && token === undefined)
      throw new CommandFailure(
        `${writeAddress(admin)} asks for a token (admin_token_file): give it with --token-file FILE`,
      );
    return answer;
  }
}
