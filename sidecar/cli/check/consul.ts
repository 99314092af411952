import { AgentError } from '../../discovery/consul/client/response.js';
import { isProblem } from '../../identity/spiffe.js';
import { readCertificate } from '../../identity/x509/certificate.js';
import { certificatesFromPem } from '../../identity/x509/pem.js';
import type { AskedAgent } from '../consul/asked-agent.js';
import { oneLine } from '../failure.js';
import { timeText } from './certificates.js';
import { type ConsulUse, checkCall } from './consul-calls.js';
import { aboutCall } from './fallbacks.js';
import { type Finding, failed, ok, warning } from './finding.js';
import { checkClock } from './machine.js';
import type { Subject } from './subject.js';

/** Discovery chains came with 1.6; 1.8 is the oldest version that the tests run. */
const OLDEST = [1, 6] as const;
const OLDEST_TRIED = [1, 8] as const;
const ROOT_WARNING_MS = 30 * 86_400_000;

/** What `checkConsul` needs of a file; without a file, of the catalogue. */
export type ConsulSubject = Pick<Subject, 'services' | 'calls'> &
  ConsulUse & {
    /** Certificates come from Consul: whether it issues them is tried. */
    readonly hasConsulIdentity: boolean;
  };

/**
 * A Consul agent as sidecars use it: whether it answers, its version and clock, whether its servers have a leader, what the token
 * may do, the authority of Connect, intentions, and the instances of upstreams. Nothing is written; of each own service one
 * certificate is asked for, as its sidecar does.
 *
 * @param wallNow this machine's clock, ms.
 */
export async function checkConsul(
  agent: AskedAgent,
  subject: ConsulSubject,
  wallNow: () => number,
): Promise<Finding[]> {
  const self = await checkAgent(agent, wallNow);
  if (self.some(({ area, level }) => area === 'consul' && level === 'failed')) return self;
  const rest = await Promise.all([
    checkToken(agent),
    ...subject.services.map((service) => checkRights(agent, service, subject)),
    checkAuthority(agent, wallNow()),
    ...subject.calls.map(async (call) =>
      aboutCall(call.from, call.to, await checkCall(agent, call, subject)),
    ),
  ]);
  return [...self, ...rest.flat()];
}

/**
 * Whether the agent answers, and whether its servers have a leader: an agent without one answers from what it had. Both need no
 * token. The clock is compared by the same request, whose answer has been made between the two readings of ours.
 */
async function checkAgent(agent: AskedAgent, wallNow: () => number): Promise<Finding[]> {
  const beforeMs = wallNow();
  try {
    const leader = await agent.get('/status/leader');
    const clock = checkClock(`the agent ${agent.where}`, leader.headers['date'], (beforeMs + wallNow()) / 2);
    const isLed = JSON.parse(leader.body.toString('utf8')) !== '';
    const led = isLed
      ? ok('consul', `${agent.where} answers, and its servers have a leader`)
      : failed(
          'consul',
          `${agent.where} answers, and its servers have no leader`,
          'look at the servers: `consul operator raft list-peers`',
        );
    return [led, ...clock, ...(await checkVersion(agent))];
  } catch (error) {
    return [
      failed(
        'consul',
        `the agent ${agent.problem(error)}`,
        'start the agent, or name another: `consul.address`, CONSUL_HTTP_ADDR',
      ),
    ];
  }
}

/**
 * The version of the agent, not of its servers: the sidecar speaks with the agent. It needs `agent:read`, which the token of a
 * sidecar need not have; then nothing is said.
 */
async function checkVersion(agent: AskedAgent): Promise<Finding[]> {
  try {
    const self = (await agent.json('/agent/self')) as { Config?: { Version?: string } };
    const version = self.Config?.Version ?? '';
    const [major = 0, minor = 0] = version.split('.').map(Number);
    const isOlder = ([a, b]: readonly [number, number]) => major < a || (major === a && minor < b);
    const next = 'update Consul; 1.8 is the oldest version that is tried';
    if (isOlder(OLDEST))
      return [failed('version', `Consul is of version ${version}, which has no discovery chains`, next)];
    if (isOlder(OLDEST_TRIED)) return [warning('version', `Consul is of version ${version}`, next)];
    return [ok('version', `Consul is of version ${version}`)];
  } catch (error) {
    if (statusOf(error) === 403) return []; // needs `agent:read`, which a sidecar does not
    return [
      warning(
        'version',
        `the version of Consul: ${oneLine(error)}`,
        'none where the token is not to read the agent',
      ),
    ];
  }
}

/**
 * Whether Consul knows the token. Without ACLs the answer is 401 ("ACL support disabled"); a token that is not known gets 403;
 * no token is the anonymous one, which is valid and may do little.
 */
async function checkToken(agent: AskedAgent): Promise<Finding[]> {
  try {
    const { Description = '' } = (await agent.json('/acl/token/self')) as { Description?: string };
    return [ok('acl', `the token is valid${Description === '' ? '' : ` (${Description})`}`)];
  } catch (error) {
    if (statusOf(error) === 401) return [ok('acl', 'ACLs are off')];
    const next = 'make a token and give it as `consul.token_file` or CONSUL_HTTP_TOKEN';
    return [failed('acl', `the token: ${oneLine(error)}`, next)];
  }
}

/** Reads what a sidecar of the service reads; Consul answers 403 where the token may not. */
async function checkRights(
  agent: AskedAgent,
  service: string,
  { hasConsulIdentity, hasConsulIntentions }: ConsulSubject,
): Promise<Finding[]> {
  const name = encodeURIComponent(service);
  const tried: readonly (readonly [
    what: string,
    rule: string,
    path: string,
    query?: Record<string, string>,
  ])[] = [
    [
      'read its configuration',
      `service "${service}" { policy = "read" }`,
      `/config/service-defaults/${name}`,
    ],
    ...(hasConsulIntentions
      ? [
          [
            'read its intentions',
            `service "${service}" { intentions = "read" }`,
            '/connect/intentions/match',
            { by: 'destination', name: service },
          ] as const,
        ]
      : []),
    ...(hasConsulIdentity
      ? [
          [
            'get its certificate',
            `service "${service}" { policy = "write" }`,
            `/agent/connect/ca/leaf/${name}`,
          ] as const,
        ]
      : []),
  ];
  const problems = await Promise.all(
    tried.map(async ([what, rule, path, query]) => {
      try {
        await agent.get(path, query);
        return [];
      } catch (error) {
        if (statusOf(error) === 404) return [];
        const next =
          statusOf(error) === 403 ? `the token's policy needs ${rule}` : 'look at the log of the agent';
        return [failed('acl', `${service} may not ${what}: ${oneLine(error)}`, next)];
      }
    }),
  );
  const all = problems.flat();
  return all.length > 0 ? all : [ok('acl', `a sidecar of ${service} may do what it needs`)];
}

/** The root certificate that Connect signs with now. The agent answers 500 where Connect is switched off at the servers. */
async function checkAuthority(agent: AskedAgent, nowMs: number): Promise<Finding[]> {
  try {
    const { Roots } = (await agent.json('/connect/ca/roots')) as {
      Roots: { RootCert: string; Active: boolean }[];
    };
    const ends = Roots.filter(({ Active }) => Active).flatMap(({ RootCert }) =>
      certificatesFromPem(RootCert)
        .map(readCertificate)
        .flatMap((facts) => (isProblem(facts) ? [] : [facts.notAfterMs])),
    );
    const leftMs = Math.min(...ends) - nowMs;
    const what = `the root of Connect ends in ${timeText(leftMs)}`;
    if (leftMs > ROOT_WARNING_MS) return [ok('certificate', what)];
    return [warning('certificate', what, 'rotate it: `consul connect ca set-config`')];
  } catch (error) {
    return [
      failed(
        'certificate',
        `the authority of Connect: ${oneLine(error)}`,
        'switch Connect on at the servers: connect { enabled = true }',
      ),
    ];
  }
}

/** The HTTP status of an answer that was not 2xx; undefined: there was no answer, or it made no sense. */
function statusOf(error: unknown): number | undefined {
  return error instanceof AgentError ? error.status : undefined;
}
