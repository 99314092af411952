import { planOf } from '../../discovery/consul/chain/chain-plan.js';
import { limitsOf, refusedDefaults } from '../../discovery/consul/chain/service-defaults.js';
import { parseIntentionsAnswer } from '../../discovery/consul/connect/intention-parser.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { readSubject, type Subject } from './subject.js';

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
      notes.set(file, await notesFor(agent, subject));
    } catch (error) {
      throw agent.failure(error);
    } finally {
      agent.close();
    }
  }
  return notes;
}

/**
 * All notes of one file, each once: two callers of one service meet the same router. Entries that are not there (404) say nothing, and are
 * not an error.
 */
async function notesFor(agent: AskedAgent, { calls, services }: Subject): Promise<string[]> {
  const found = [
    ...refusedDefaults(await agent.textIfAny('/config/proxy-defaults/global')),
    ...(
      await Promise.all(calls.map(({ from, to, inConsul = to }) => callNotes(agent, from, inConsul)))
    ).flat(),
    ...(await intentionNotes(agent, services)),
  ];
  return [...new Set(found)];
}

/** The limits that the caller's service-defaults set for the upstream, and the discovery chain of the upstream. */
async function callNotes(agent: AskedAgent, from: string, upstream: string): Promise<readonly string[]> {
  const [defaults, chain] = await Promise.all([
    agent.textIfAny(`/config/service-defaults/${encodeURIComponent(from)}`),
    agent.textIfAny(`/discovery-chain/${encodeURIComponent(upstream)}`),
  ]);
  return [...limitsOf(defaults, upstream).unsupported, ...(chain === '' ? [] : planOf(chain).unsupported)];
}

/** Intentions with parts that are not checked as written; of services that the file does not run none is of interest here. */
async function intentionNotes(agent: AskedAgent, services: readonly string[]): Promise<readonly string[]> {
  const { body } = await agent.get('/connect/intentions');
  return services.flatMap((service) => [...parseIntentionsAnswer(body, service).notes]);
}
