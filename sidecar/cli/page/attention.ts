import type { Tone } from '../../admin/endpoint-state.js';
import { failing, shellWord, short } from '../../admin/look/words.js';
import { type Answered, type Edge, type MeshMoment, serviceOf } from './mesh-view.js';
import type { Replica } from './replicas.js';

/** Something that an operator should look at: what is wrong, and the command that shows more. */
export interface Attention {
  readonly tone: Tone;
  /** The service that it is about. */
  readonly service: string;
  /** One sentence without its full stop. */
  readonly text: string;
  readonly command: string;
}

/** From this share of failures on calls are shown as `warn` and as `bad`, as on the dashboards. */
const FAIR = 0.01;
const POOR = 0.05;

/** The colour of calls, by their failures. */
export function edgeTone({ now: { failedRatio = 0 } }: Pick<Edge, 'now'>): Tone {
  return failedRatio < FAIR ? 'good' : failedRatio < POOR ? 'warn' : 'bad';
}

/** What is wrong, the worst first. @param services each with its replicas. */
export function attentionOf(
  { edges, sidecars }: Pick<MeshMoment, 'edges' | 'sidecars'>,
  services: ReadonlyMap<string, readonly Replica[]>,
): readonly Attention[] {
  const rows = [
    ...sidecars.filter((each) => serviceOf(each) === undefined).map(silence),
    ...[...services].flatMap(([service, replicas]) => outages(service, replicas)),
    ...edges.filter((edge) => edgeTone(edge) !== 'good').map((edge) => failures(edge, sidecars)),
    ...[...services].flatMap(([service, replicas]) =>
      replicas.filter(({ tone }) => tone !== 'good').map((each) => trouble(service, each)),
    ),
  ];
  return rows.sort((a, b) => rank(a) - rank(b));
}

function rank({ tone }: Attention): number {
  return tone === 'bad' ? 0 : 1;
}

/** A service without a replica that takes calls. */
function outages(service: string, replicas: readonly Replica[]): Attention[] {
  if (replicas.length === 0 || replicas.some(({ tone }) => tone === 'good')) return [];
  const isBad = replicas.every(({ tone }) => tone === 'bad');
  if (!isBad) return [];
  const text = `no replica of ${service} takes calls (${replicas.length} of ${replicas.length})`;
  return [{ tone: 'bad', service, text, command: 'npx outrider check' }];
}

/** A sidecar that has never answered: nobody knows whose it is. */
function silence({ name, problem = '' }: Answered): Attention {
  const text = `${name} does not answer${problem === '' ? '' : `: ${problem}`}`;
  return { tone: 'bad', service: name, text, command: 'npx outrider check' };
}

function failures(edge: Edge, sidecars: readonly Answered[]): Attention {
  const { from, to, now } = edge;
  const { perSecond, failedRatio = 0 } = now;
  const text = `${failing(failedRatio)} of the calls of ${from} to ${to} fail (${short(perSecond * failedRatio)} of ${short(perSecond)}/s)`;
  const caller = sidecars.find(({ report }) => report?.service === from);
  // Taps are at admin ports.
  const options = caller?.options?.startsWith('--consul') ? '' : (caller?.options ?? '');
  const command = ['npx outrider tap', shellWord(`upstream=${to}`), 'failed', options];
  return {
    tone: edgeTone(edge),
    service: to,
    text,
    command: command.filter((each) => each !== '').join(' '),
  };
}

/** States as the end of a sentence, where `is` does not do. */
const WORDS: Readonly<Record<string, string>> = {
  'no answer': 'does not answer',
  draining: 'drains',
  restarting: 'restarts',
  suspect: 'is suspected',
};

function trouble(service: string, { name, state, tone, why, sidecar }: Replica): Attention {
  const is = WORDS[state] ?? `is ${state}`;
  const text = `${name} ${is}${why === '' ? '' : why.startsWith('by ') ? ` ${why}` : `: ${why}`}`;
  return { tone, service, text, command: statusCommand(service, sidecar) };
}

/** The command that shows a service in detail, with its endpoints, methods and models. */
export function statusCommand(service: string, sidecar: Answered | undefined): string {
  const { options } = sidecar ?? {};
  return `npx outrider status ${shellWord(service)}${options === undefined ? '' : ` ${options}`}`;
}
