import { isOver, type ReplicaFacts, type RolloutView } from '../../core/models/rollout.js';
import { type Palette, table } from '../terminal.js';

/**
 * One line on how a rollout stands, for a terminal that is read from top to bottom.
 *
 * @param found replicas of the service that have answered: until they have read the record, it does not know all of them.
 */
export function progressLine({ record, replicas: facts, problem }: RolloutView, found = 0): string {
  if (record === undefined) return problem === '' ? 'there was no rollout' : problem;
  const { model, from, version, state, replicas, why } = record;
  const done = replicas.filter(({ phase }) => phase === 'done').length;
  const current = replicas.find(({ phase }) => phase !== 'waiting' && phase !== 'done');
  const hasNone = facts.some(({ instance, compared }) => instance === current?.instance && compared === 0);
  const idle =
    record.state === 'running' && current?.phase === 'shadow' && record.settings.samples > 0 && hasNone
      ? ', waiting for calls to compare'
      : '';
  const place =
    isOver(record) || current === undefined ? '' : ` · ${current.instance} ${current.phase}${idle}`;
  return `${model} ${from} → ${version} · ${state} · ${done} of ${Math.max(replicas.length, found)} replicas${place} · ${why}`;
}

/** The whole of it: the line, and a table of the replicas. */
export function rolloutText(view: RolloutView, palette: Palette, found = 0): string {
  const { record, replicas: facts, where, problem } = view;
  if (record === undefined) return progressLine(view, found);
  const said = new Map(facts.map((each) => [each.instance, each]));
  const rows = record.replicas.map(({ instance, phase }) => {
    const own = said.get(instance);
    return [instance, phase, ...cells(own), own?.why ?? ''];
  });
  const titles = [
    'replica',
    'phase',
    'serves',
    'agree',
    'failed before',
    'failed since',
    'median before',
    'since',
  ];
  return [
    progressLine(view, found),
    table([...titles, 'why'], rows, palette),
    `kept in ${where}`,
    ...(problem === '' ? [] : [palette.red(problem)]),
  ].join('\n');
}

function cells(own: ReplicaFacts | undefined): string[] {
  if (own === undefined) return ['', '', '', '', '', ''];
  const { serving, compared, agreed, before, after } = own;
  return [
    serving,
    compared === 0 ? '' : `${agreed} of ${compared}`,
    before.calls === 0 ? '' : `${before.errors} of ${before.calls}`,
    after.calls === 0 ? '' : `${after.errors} of ${after.calls}`,
    before.medianMs === 0 ? '' : `${before.medianMs.toFixed(1)} ms`,
    after.medianMs === 0 ? '' : `${after.medianMs.toFixed(1)} ms`,
  ];
}
