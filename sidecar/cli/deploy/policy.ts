import { loadAnyFile } from '../../config/file/load.js';
import type { ConsulConfig, MeshConfig, SidecarConfig } from '../../config/model.js';
import { formatProblems } from '../../config/problem.js';
import { AgentError } from '../../discovery/consul/client/response.js';
import { readAdopted } from '../check/adopted-registration.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { askedPlan } from '../consul/asked-plan.js';
import { CommandFailure } from '../failure.js';
import { readSidecarFile } from '../read-config.js';
import {
  type Called,
  meshNeeds,
  type PolicyNeeds,
  policyRules,
  ruledTargets,
  sidecarNeeds,
  upstreamsOf,
} from './policy-rules.js';

/** Flags of `outrider consul policy`, as commander parses them. */
export interface PolicyFlags {
  readonly node?: string;
  readonly consul?: string;
}

/**
 * `outrider consul policy FILE`: prints the ACL rules that the sidecar of a file needs, or for a
 * mesh file the token that all its sidecars use. For a file with `consul.adopt` an agent is asked, whose registration says which service this
 * is, and what it calls. With `--consul` it is asked for the traffic rules of what is called, too: they may lead to other services.
 *
 * @returns 0.
 * @throws CommandFailure for an invalid file, for one that does not use Consul, and for a registration that cannot be read.
 */
export async function policyCommand(
  file: string,
  { node, consul: address }: PolicyFlags,
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<number> {
  const { kind, result } = loadAnyFile(file);
  if (!result.ok) throw new CommandFailure(formatProblems(result.problems));
  const config = result.config as SidecarConfig | MeshConfig;
  if (config.consul === undefined)
    throw new CommandFailure(`${file}: consul: found none; a file that does not use Consul needs no policy`);
  const { consul } = config;
  let needs: PolicyNeeds;
  let upstreams: readonly Called[];
  if (kind === 'mesh') {
    needs = meshNeeds(config as MeshConfig);
    upstreams = upstreamsOf(config as MeshConfig);
  } else {
    const whole = await withRegistration(file, config as SidecarConfig, address);
    needs = sidecarNeeds(whole);
    upstreams = whole.outbound?.upstreams ?? [];
  }
  if (address !== undefined)
    needs = await withRules(file, needs, { upstreams, agent: operatorsAgent(address, consul) });
  print(policyRules({ ...needs, node }));
  return 0;
}

/** The token of the file is what the policy is for, and may not exist yet: the operator's, of the environment, is used. */
function operatorsAgent(address: string | undefined, consul: ConsulConfig): AskedAgent {
  const { tokenFile: _, ...said } = consul;
  return AskedAgent.open(address, said as ConsulConfig);
}

/** With the services that rules in Consul lead calls to: redirects, splits, routes and failover. */
async function withRules(
  file: string,
  needs: PolicyNeeds,
  { upstreams, agent }: { readonly upstreams: readonly Called[]; readonly agent: AskedAgent },
): Promise<PolicyNeeds> {
  try {
    if (needs.mayLeadElsewhere !== true) return needs;
    const plans = await Promise.all(ruledTargets(upstreams).map((target) => askedPlan(agent, target)));
    const clusters = plans.flatMap((plan) => [...(plan?.clusters.values() ?? [])]);
    const led = clusters.flatMap(({ targets }) => targets.map(({ service }) => service));
    return { ...needs, called: [...needs.called, ...led], mayLeadElsewhere: false };
  } catch (error) {
    throw unread(
      `${file}: the traffic rules of its upstreams say what the policy needs, and cannot be read`,
      agent,
      error,
    );
  } finally {
    agent.close();
  }
}

/** The file with the registration that it adopts, where it adopts one. */
async function withRegistration(
  file: string,
  config: SidecarConfig,
  address: string | undefined,
): Promise<SidecarConfig> {
  const { adopt } = config.consul!;
  if (adopt === undefined) return config;
  const agent = operatorsAgent(address, config.consul!);
  try {
    const adopted = await readAdopted(agent, adopt);
    if (typeof adopted === 'string') throw new CommandFailure(`${file}: ${adopted}`);
    return readSidecarFile(file, () => {}, adopted);
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const what = `${file}: consul.adopt: the registration says what the policy needs, and cannot be read`;
    throw unread(what, agent, error);
  } finally {
    agent.close();
  }
}

function unread(what: string, agent: AskedAgent, error: unknown): CommandFailure {
  const { message } = agent.failure(error);
  const isDenied = error instanceof AgentError && error.status === 403;
  const next = isDenied ? '; CONSUL_HTTP_TOKEN needs a token with service "NAME" { policy = "read" }' : '';
  return new CommandFailure(`${what}: ${message}${next}`);
}
