import type { AdoptedProxy, ConsulConfig } from '../../config/model.js';
import { AgentError } from '../../discovery/consul/client/response.js';
import { proxiesOf, readAdoptedProxy } from '../../discovery/consul/registration/adopted-proxy.js';
import type { AskedAgent } from '../consul/asked-agent.js';
import { type Finding, failed, ok } from './finding.js';
import { type Subject, subjectWith } from './subject.js';

/** The next step where the agent has no such registration. */
const REGISTER =
  'register the service with a sidecar at this agent (`sidecar_service`, Nomad), or name the one that is there: `consul.adopt`';

/**
 * The registration that `consul.adopt` names, as its sidecar reads it; a text says why there is none that a sidecar could adopt.
 * @throws AgentError
 */
export async function readAdopted(
  agent: AskedAgent,
  { proxy, sidecarFor = '' }: NonNullable<ConsulConfig['adopt']>,
): Promise<AdoptedProxy | string> {
  const ids =
    proxy === undefined ? proxiesOf(sidecarFor, (await agent.get('/agent/services')).body) : [proxy];
  const [id] = ids;
  if (id === undefined || ids.length > 1) {
    const found = id === undefined ? 'no proxy' : `${ids.length} proxies (${ids.join(', ')})`;
    return `consul.adopt: the agent has ${found} of the service ${JSON.stringify(sidecarFor)}; expected one`;
  }
  const text = await agent.textIfAny(`/agent/service/${encodeURIComponent(id)}`);
  if (text === '') return `consul.adopt: the agent has no registration ${JSON.stringify(id)}`;
  return readAdoptedProxy(Buffer.from(text));
}

/**
 * What a file describes with the registration that it adopts: its service, its ports and its upstreams stand there. Where there is none, what is
 * left stands in the file alone; an agent that does not answer has a finding elsewhere. Never rejects.
 */
export async function adoptedSubject(
  agent: AskedAgent,
  adopt: NonNullable<ConsulConfig['adopt']>,
  subject: Subject,
): Promise<{ readonly subject: Subject; readonly findings: Finding[] }> {
  const { file } = subject;
  // What a file leaves out has a name and addresses that stand for it; nothing is to be asked about these.
  const calls = subject.calls.filter(({ inConsul }) => inConsul === undefined);
  const alone = { ...subject, services: [], calls };
  try {
    const adopted = await readAdopted(agent, adopt);
    if (typeof adopted === 'string')
      return { subject: alone, findings: [failed('consul', `${file}: ${adopted}`, REGISTER)] };
    const { id, service, upstreams } = adopted;
    const title = `the registration ${JSON.stringify(id)}`;
    const whole = subjectWith(file, adopted);
    if (whole !== undefined) {
      const what = `${title} is for ${service}, and has upstreams: ${upstreams.length}`;
      return { subject: whole, findings: [ok('consul', what)] };
    }
    const next = `\`outrider sidecar -c ${file}\` says which option, and does not start`;
    return { subject: alone, findings: [failed('consul', `${file} and ${title} do not fit`, next)] };
  } catch (error) {
    if (error instanceof AgentError && error.fault === 'unreachable') return { subject: alone, findings: [] };
    const what = `the registration that ${file} adopts cannot be read: ${agent.problem(error)}`;
    const next = 'the policy of the token needs service "NAME" { policy = "read" }, or the agent is not well';
    return { subject: alone, findings: [failed('consul', what, next)] };
  }
}
