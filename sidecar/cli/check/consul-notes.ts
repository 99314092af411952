import { present } from '../../config/present.js';
import { passedOverBy } from '../../discovery/consul/chain/own-target.js';
import {
  limitsOf,
  refusedDefaults,
  refusedOfService,
} from '../../discovery/consul/chain/service-defaults.js';
import { parseIntentionsAnswer } from '../../discovery/consul/connect/intention-parser.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { askedPlan } from '../consul/asked-plan.js';
import { readAdopted } from './adopted-registration.js';
import { type Call, readSubject, type Subject, subjectWith } from './subject.js';

/**
 * What of the rules in Consul a sidecar of each file would not apply: fields of service-defaults, proxy-defaults, service-routers, -splitters and
 * -resolvers of its upstreams, and intentions about its services. They are read as a sidecar reads them, so that the sentences
 * are those of `outrider status`. A file that is wrong has none.
 *
 * @param consul address of the agent; `true`: the one that each file names, else the one of the environment.
 * @throws CommandFailure where the agent cannot be read.
 */
export async function consulNotes(
  files: readonly string[],
  consul: string | true,
): Promise<Map<string, readonly string[]>> {
  const notes = new Map<string, readonly string[]>();
  for (const file of files) {
    const { subject } = readSubject(file);
    if (subject === undefined) continue;
    const agent = AskedAgent.open(consul === true ? undefined : consul, subject.consul);
    try {
      notes.set(file, await notesWithAdopted(agent, subject));
    } catch (error) {
      throw agent.failure(error);
    } finally {
      agent.close();
    }
  }
  return notes;
}

/** The notes of a file, with what the registration that it adopts adds to it. */
async function notesWithAdopted(agent: AskedAgent, subject: Subject): Promise<readonly string[]> {
  const { adopt } = subject.consul ?? {};
  if (adopt === undefined) return await notesFor(agent, subject);
  const adopted = await readAdopted(agent, adopt);
  if (typeof adopted === 'string') return [adopted, ...(await notesFor(agent, subject))];
  const whole = subjectWith(subject.file, adopted);
  const problem = `the file and the registration ${JSON.stringify(adopted.id)} do not fit; \`outrider sidecar\` says why`;
  return [
    ...adopted.unapplied,
    ...(whole === undefined ? [problem] : []),
    ...(await notesFor(agent, whole ?? subject)),
  ];
}

/**
 * All notes of one file, each once: two callers of one service meet the same router. Entries that are not there (404) say nothing, and are
 * not an error.
 */
async function notesFor(agent: AskedAgent, { calls, services, consul }: Subject): Promise<string[]> {
  // Of an upstream whose endpoints are in the file or in DNS a sidecar asks Consul for nothing.
  const inRegistry = calls.filter(({ inConsul }) => inConsul !== undefined || consul === undefined);
  const ofRules =
    consul?.rules === false
      ? []
      : [
          refusedDefaults(await agent.textIfAny('/config/proxy-defaults/global')),
          ...(await Promise.all(services.map((service) => serviceNotes(agent, service)))),
          ...(await Promise.all(inRegistry.map((call) => callNotes(agent, call)))),
        ];
  return [...new Set([...ofRules.flat(), ...(await intentionNotes(agent, services))])];
}

/** What the service-defaults of a service ask of its own sidecar. */
async function serviceNotes(agent: AskedAgent, service: string): Promise<readonly string[]> {
  return refusedOfService(await agent.textIfAny(`/config/service-defaults/${encodeURIComponent(service)}`));
}

/** The limits that the caller's service-defaults set for the upstream, and the discovery chain of the upstream. */
async function callNotes(agent: AskedAgent, { from, to, inConsul = to, discovery }: Call): Promise<string[]> {
  const upstream = inConsul;
  const [defaults, plan] = await Promise.all([
    agent.textIfAny(`/config/service-defaults/${encodeURIComponent(from)}`),
    askedPlan(agent, { service: upstream, ...present('datacenter', discovery?.datacenter) }),
  ]);
  const { unsupported } = limitsOf(defaults, upstream);
  if (plan === undefined) return [...unsupported];
  const passedOver = discovery === undefined ? [] : passedOverBy(discovery, plan);
  return [...unsupported, ...(passedOver.length > 0 ? passedOver : plan.unsupported)];
}

/** Intentions with parts that are not checked as written; of services that the file does not run none is of interest here. */
async function intentionNotes(agent: AskedAgent, services: readonly string[]): Promise<readonly string[]> {
  const { body } = await agent.get('/connect/intentions');
  return services.flatMap((service) => [...parseIntentionsAnswer(body, service).notes]);
}
