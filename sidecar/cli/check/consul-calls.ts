/**
 * The calls of a mesh by what Consul says of them: where its rules lead them, intentions between the two services, and the sidecars of the one
 * that is called. `consul troubleshoot proxy` asks the same of Envoy; here nothing runs beside the sidecar that could be asked.
 */

import type { Address } from '../../config/model.js';
import { plainDiscovery } from '../../config/options/consul/discovery.js';
import type { Health } from '../../core/discovery/eviction-guard.js';
import { keyOf, queryOf, type Target, titleOf } from '../../discovery/consul/catalog/target.js';
import type { ChainPlan } from '../../discovery/consul/chain/chain-plan.js';
import { hasOwnTarget, ownPlan, withoutMesh } from '../../discovery/consul/chain/own-target.js';
import { type InstanceList, readInstances } from '../../discovery/consul/parser/instances.js';
import type { AskedAgent } from '../consul/asked-agent.js';
import { askedPlan } from '../consul/asked-plan.js';
import { oneLine } from '../failure.js';
import { checkReach } from './endpoints.js';
import { type Finding, failed, ok, warning } from './finding.js';
import type { Call } from './subject.js';

/** What of Consul a sidecar goes by. */
export interface ConsulUse {
  /** Consul decides which calls are allowed. */
  readonly hasConsulIntentions: boolean;
  /** Its traffic rules decide where calls go. */
  readonly hasConsulRules: boolean;
}

/**
 * One call: may it be made, and is there something to call, wherever it leads. An upstream whose endpoints are in the file is not asked for. A
 * failover target is a reserve: what is wrong with it is a warning while another target of its cluster is well.
 */
export async function checkCall(agent: AskedAgent, call: Call, use: ConsulUse): Promise<Finding[]> {
  const { inConsul } = call;
  if (inConsul === undefined) return [];
  let clusters: readonly (readonly Target[])[];
  try {
    const plan = await planOfCall(agent, call, use);
    clusters = [...plan.clusters.values()].map(({ targets }) => targets);
  } catch (error) {
    const next = `the token's policy needs service "${inConsul}" { policy = "read" }, or the agent is not well`;
    return [failed('upstream', `the traffic rules of ${inConsul} cannot be read: ${oneLine(error)}`, next)];
  }
  const targets = new Map(clusters.flat().map((target) => [keyOf(target), target]));
  const checked = new Map<string, CheckedTarget>();
  const ask = async (key: string, target: Target): Promise<void> =>
    void checked.set(key, await checkTarget(agent, call, target, use));
  await Promise.all([...targets].map(([key, target]) => ask(key, target)));
  const of = (target: Target) => checked.get(keyOf(target))!;
  const firsts = new Set(clusters.flatMap((each) => each.slice(0, 1).map(of)));
  const lost = new Set(
    clusters.filter((each) => !each.some((it) => isWell(of(it)))).flatMap((each) => each.map(of)),
  );
  const found = [...checked.values()].flatMap((target) => {
    const { intention, instances } = target;
    return [
      ...(intention === undefined
        ? []
        : [firsts.has(target) || lost.has(target) ? intention : reserve(intention)]),
      lost.has(target) ? instances : reserve(instances),
    ];
  });
  return [...distinct(found), ...clusters.filter((each) => each.length === 0).map(() => nowhere(inConsul))];
}

/** What was found of a target. */
interface CheckedTarget {
  /** Absent: none applies. */
  readonly intention?: Finding;
  readonly instances: Finding;
}

function isWell({ intention, instances }: CheckedTarget): boolean {
  return intention?.level !== 'failed' && instances.level !== 'failed';
}

/** Of a target that calls do not need while others are well. */
function reserve(finding: Finding): Finding {
  return finding.level === 'failed' ? { ...finding, level: 'warning' } : finding;
}

/** Intentions towards one service are the same for all its targets: the worst is said once. */
function distinct(findings: readonly Finding[]): Finding[] {
  const byText = new Map<string, Finding>();
  for (const each of findings) if (byText.get(each.what)?.level !== 'failed') byText.set(each.what, each);
  return [...byText.values()];
}

function nowhere(service: string): Finding {
  return failed(
    'upstream',
    `the traffic rules of ${service} lead to nothing that a sidecar can call`,
    '`outrider validate FILE --consul` names what is left out',
  );
}

/** Where the sidecar sends the calls. @throws AgentError; Error where the answer is no discovery chain. */
async function planOfCall(
  agent: AskedAgent,
  { inConsul = '', discovery = plainDiscovery(inConsul), tls }: Call,
  { hasConsulRules }: ConsulUse,
): Promise<ChainPlan> {
  const isByFile = !hasConsulRules || hasOwnTarget(discovery);
  const plan = (isByFile ? undefined : await askedPlan(agent, discovery)) ?? ownPlan(discovery);
  return tls === 'plaintext' ? withoutMesh(plan) : plan;
}

/** A target outside the mesh has no intentions. Where it is not known whether it is in the mesh, its instances tell. */
async function checkTarget(
  agent: AskedAgent,
  { from, tls = 'mesh' }: Call,
  target: Target,
  { hasConsulIntentions }: ConsulUse,
): Promise<CheckedTarget> {
  if (tls === 'unknown' && (await isOutside(agent, target))) {
    const outside = await checkInstances(agent, { ...target, via: 'plain' });
    const what = `Consul has no sidecar of ${titleOf(target)}; outside the mesh, ${outside.what}`;
    const next = 'such calls need `tls: plaintext` in the file of the caller';
    return { instances: outside.level === 'failed' ? { ...outside, what } : warning('upstream', what, next) };
  }
  const instances = await checkInstances(agent, target);
  if (!hasConsulIntentions || target.via === 'plain') return { instances };
  return { intention: await checkIntention(agent, from, target.service), instances };
}

/** Whether the service has instances and no sidecar, nor ever had one of ours: such a one registers both. */
async function isOutside(agent: AskedAgent, target: Target): Promise<boolean> {
  try {
    if ((await instancesOf(agent, target)).instances.length > 0) return false;
    const { instances } = await instancesOf(agent, { ...target, via: 'plain' });
    return instances.length > 0 && instances.every(({ meta }) => meta['outrider'] === undefined);
  } catch {
    return false; // asked again, and said
  }
}

/** Whether Consul's intentions let one service call another, with the command that would allow it. */
async function checkIntention(agent: AskedAgent, source: string, destination: string): Promise<Finding> {
  try {
    const { Allowed } = (await agent.json('/connect/intentions/check', { source, destination })) as {
      Allowed: boolean;
    };
    if (Allowed || (await hasPermissions(agent, source, destination)))
      return ok('intention', `${source} may call ${destination}`);
    const next = `consul intention create -allow ${source} ${destination}`;
    return failed('intention', `no intention in Consul lets ${source} call ${destination}`, next);
  } catch (error) {
    return warning(
      'intention',
      `whether ${source} may call ${destination}: ${oneLine(error)}`,
      'the token\'s policy needs intentions = "read"',
    );
  }
}

/** Rules for single calls (Consul 1.9): to Consul's own question they are a no. */
async function hasPermissions(agent: AskedAgent, source: string, destination: string): Promise<boolean> {
  const found = (await agent.json('/connect/intentions/match', {
    by: 'destination',
    name: destination,
  })) as Record<string, { SourceName: string; Permissions?: unknown[] }[]>;
  return (found[destination] ?? []).some(
    ({ SourceName, Permissions = [] }) => SourceName === source && Permissions.length > 0,
  );
}

/**
 * The instances of a target that Consul would let callers use, and whether connections to them can be made from here. An answer that is empty
 * may also mean that the token may not read them: Consul leaves out what it may not show.
 */
async function checkInstances(agent: AskedAgent, target: Target): Promise<Finding> {
  const title = titleOf(target);
  const [one, many] = target.via === 'plain' ? ['instance', 'instances'] : ['sidecar', 'sidecars'];
  try {
    const { instances, skipped, problem } = await instancesOf(agent, target);
    const usable: readonly Health[] = target.onlyPassing === true ? ['passing'] : ['passing', 'warning'];
    const good = instances.filter(({ status }) => usable.includes(status));
    const leftOut = skipped === 0 ? '' : `; ${skipped} of its entries make no sense: ${problem}`;
    if (instances.length === 0)
      return failed(
        'upstream',
        `Consul has no ${one} of ${title}${leftOut}`,
        'start one, check its name, or whether the token may read it (service and node)',
      );
    if (good.length === 0)
      return failed(
        'upstream',
        `all ${instances.length} ${many} of ${title} are critical in Consul`,
        '`outrider status --consul` shows why',
      );
    const addresses = good.map(({ address: host, port }): Address => ({ kind: 'tcp', host, port }));
    return await checkReach(title, addresses);
  } catch (error) {
    return failed('upstream', `the instances of ${title}: ${oneLine(error)}`, 'look at the agent');
  }
}

/** As the sidecar reads them: those of another datacenter have addresses of their own. */
async function instancesOf(agent: AskedAgent, target: Target): Promise<InstanceList> {
  const { path, query } = queryOf(target);
  const own = target.datacenter === undefined ? undefined : await datacenterOf(agent);
  const { body } = await agent.get(path, query);
  return readInstances(body, { wan: own !== undefined && own !== target.datacenter });
}

/** Undefined: the token may not read the agent. */
async function datacenterOf(agent: AskedAgent): Promise<string | undefined> {
  try {
    const self = (await agent.json('/agent/self')) as { Config?: { Datacenter?: string } };
    return self.Config?.Datacenter;
  } catch {
    return undefined;
  }
}
