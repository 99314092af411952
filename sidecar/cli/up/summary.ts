import { dirname, join } from 'node:path';
import { readGoldenCard } from '../../config/file/golden-card.js';
import { type ListedModel, listModels } from '../../health/model/model-directory.js';
import { attempt } from '../../runtime/attempt.js';
import { tableOf } from '../columns.js';
import { ownCommand } from '../own-command.js';
import { ownPlace, packageFile } from '../package-info.js';
import type { Palette } from '../terminal.js';
import { adminAddress, callAddresses, callerOf, inboundAddress, observeAddress } from './addresses.js';
import { isReady, type SidecarState } from './fleet-state.js';
import type { SidecarSpec } from './plan.js';
import { cannotServe } from './readiness.js';
import { logFileOf } from './sidecar-process.js';

/** The Consul agent of a mesh that has one. */
export interface ConsulFacts {
  /** URL of the agent. */
  readonly address: string;
  /** URL of its UI and its process id; only for the agent of `--consul dev`. */
  readonly ui?: string;
  readonly pid?: number;
}

/**
 * The `up` event of `--json`: where to call, and every sidecar with its processes and addresses.
 */
export function summaryJson(states: readonly SidecarState[]): object {
  const caller = callerOf(states.map(({ spec }) => spec));
  return {
    call: callAddresses(caller),
    admin: adminAddress(caller),
    sidecars: states.map(({ spec, process, model, models }) => ({
      name: spec.name,
      service: spec.service,
      role: spec.role,
      pid: process.pid,
      modelPid: model?.pid,
      ...(models.length < 2 ? {} : { models }),
      inbound: inboundAddress(spec),
      admin: adminAddress(spec),
      observe: observeAddress(spec),
      log: logFileOf(spec),
    })),
  };
}

/**
 * What `up` prints when the mesh is ready: a table of sidecars, what is not served, and what to
 * type next.
 */
export function summaryText(
  states: readonly SidecarState[],
  consul: ConsulFacts | undefined,
  palette: Palette,
): string {
  const caller = callerOf(states.map(({ spec }) => spec));
  const call = Object.entries(callAddresses(caller));
  const lines = [
    tableOf(palette, states, [
      { title: 'service', cell: ({ spec }) => spec.service, giveUp: 2 },
      { title: 'replica', cell: ({ spec }) => (spec.role === 'caller' ? 'caller' : spec.name) },
      { title: 'state', cell: (state) => stateCell(state, palette) },
      { title: 'inbound', cell: ({ spec }) => inboundAddress(spec) ?? '', giveUp: 3 },
      { title: 'admin', cell: ({ spec }) => `http://${adminAddress(spec)}/` },
      { title: 'sidecar process', cell: ({ process }) => String(process.pid ?? ''), giveUp: 4 },
      { title: 'model process', cell: (state) => modelProcesses(state), giveUp: 1 },
    ]),
    '',
    ...states.flatMap(notServed).map((line) => palette.red(line)),
    ...call.map(
      ([name, address]) =>
        `call ${palette.bold(name)} at ${palette.bold(address)}  (plaintext gRPC; the mesh does the rest)`,
    ),
    `look at http://${adminAddress(caller)}/ or run: ${ownCommand(ownPlace())} status --watch`,
    `the whole mesh on a page: ${ownCommand(ownPlace())} page`,
    `logs of sidecars and models: ${logsLine(states)}`,
    ...scrapeLine(states),
    ...consulLine(consul),
    ...inferLine(caller, states),
    'Ctrl-C drains and stops everything',
  ];
  return lines.join('\n');
}

/** All lie in the run directory, each in the folder of its sidecar. */
function logsLine(states: readonly SidecarState[]): string {
  const [first] = states;
  if (first === undefined) return '';
  return logFileOf({ ...first.spec, folder: join(dirname(first.spec.folder), 'REPLICA') });
}

function stateCell(state: SidecarState, palette: Palette): string {
  if (isReady(state)) return palette.green('ready');
  if (cannotServe(state)) return palette.red('serves nothing');
  return palette.yellow(state.process.state);
}

/** The id of the process of all models, or `NAME ID` for each model with a process of its own. */
function modelProcesses({ model, models }: SidecarState): string {
  if (model?.pid !== undefined || models.length < 2) return String(model?.pid ?? '');
  return models.flatMap(({ name, pid }) => (pid === undefined ? [] : [`${name} ${pid}`])).join(', ');
}

/** One line for each model that a replica should serve and does not. */
function notServed({ spec, model, models }: SidecarState): string[] {
  const all = models.length === 0 && model !== undefined ? [model] : models;
  return all
    .filter(({ state }) => state === 'failed' || state === 'given-up' || state === 'backoff')
    .map(
      ({ name, why }) =>
        `NOT SERVED: ${name === undefined ? 'the model' : `model ${name}`} of ${spec.name}: ${why}`,
    );
}

/** What Prometheus is told, in the spelling of its `targets`. */
function scrapeLine(states: readonly SidecarState[]): string[] {
  const targets = states.flatMap(({ spec }) => observeAddress(spec) ?? []);
  return targets.length === 0 ? [] : [`scrape ${targets.join(', ')} (GET /metrics; docs/OBSERVE.md)`];
}

function consulLine(consul: ConsulFacts | undefined): string[] {
  if (consul === undefined) return [];
  if (consul.ui === undefined) return [`registered with Consul at ${consul.address}`];
  return [
    `look at ${consul.ui} for Consul's own view (its command line: CONSUL_HTTP_ADDR=${consul.address})`,
  ];
}

const SAMPLE = 'services/digits/samples/seven.png';

/** A command to paste: the sample of `digits`, where it is called, else the golden input of the first model that has one. */
function inferLine(caller: SidecarSpec, states: readonly SidecarState[]): string[] {
  const calls = callAddresses(caller);
  const infer = `${ownCommand(ownPlace())} infer`;
  const digits = calls['digits'];
  if (digits !== undefined)
    return ['try it:', `  ${infer} digits --input @${packageFile(SAMPLE)} --target ${digits}`];
  for (const [service, address] of Object.entries(calls)) {
    const model = goldenModel(states.find(({ spec }) => spec.service === service));
    if (model !== undefined)
      return ['try it:', `  ${infer} ${model.name} --input @${model.card} --target ${address}`];
  }
  return [];
}

/** The first model of a replica whose card has a golden input, which `infer` can send. */
function goldenModel(state: SidecarState | undefined): ListedModel | undefined {
  const directory = state?.spec.config.inbound?.golden?.models;
  if (directory === undefined) return undefined;
  const models = attempt(() => listModels(directory), []);
  return models.find(({ card }) => attempt(() => readGoldenCard(card), undefined) !== undefined);
}
