/** Callers that read slowly, die or stay for long; and a log that cannot be written. */

import { existsSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { clientOf } from '../../../sidecar/cli/chaos/protocol/call.js';
import { AskedProcess } from '../../kit/process/asked-process.js';
import { Scratch } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { FLOOD } from '../faults/model-protocol.js';
import { hold, OpenStreams } from '../faults/open-streams.js';
import { measure } from '../faults/times.js';
import { rssMb } from '../faults/usage.js';
import { type DecisionRow, drill, drillRow } from './drill.js';
import { APP, MODEL, sumOf } from './mesh.js';

const slowReader = drillRow({
  name: 'slow-reader',
  fault: 'eight callers ask for streams without end and read nothing',
  work: async ({ trial, mesh, load }) => {
    // What a sidecar takes for its first calls, compiled code above all, is not the readers' doing.
    await load.during(performance.now(), trial.pick(2_000, 10_000));
    const before = mesh.sidecars.map(({ pid }) => rssMb(pid));
    const clients = Array.from({ length: 8 }, () => clientOf(mesh.target));
    const streams = clients.map(hold);
    for (const stream of streams) stream.on('error', () => {}).write(Buffer.from(FLOOD));
    const fromMs = performance.now();
    const calls = await load.during(fromMs, trial.pick(2_000, 15_000));
    const growth = Math.max(...mesh.sidecars.map(({ pid }, i) => rssMb(pid) - before[i]!));
    trial.expect('no sidecar grows by more than 64 MB', growth <= 64, `${growth.toFixed(0)} MB`);
    trial.expectAvailable(calls, 99.9);
    for (const stream of streams) stream.cancel();
    for (const client of clients) client.close();
  },
});

const STREAMS = 20;

const clientDies = drillRow({
  name: 'client-dies',
  fault: 'an application is killed with streams open',
  work: async ({ trial, mesh, load }) => {
    const args = [mesh.target, String(STREAMS)];
    const client = await AskedProcess.start(new URL('client-process.js', import.meta.url), { args });
    const fromMs = performance.now();
    client.signal('SIGKILL');
    const cancelled = () => mesh.models.flatMap((model) => model.cancelled(fromMs));
    await measure(() => cancelled().length >= STREAMS, 3_000, fromMs);
    const last = Math.max(...cancelled().map((atMs) => atMs - fromMs));
    const isAll = cancelled().length === STREAMS;
    trial.within('the models see every stream cancelled', 200, isAll ? last : undefined);
    load.pause();
    await load.between(fromMs);
    const isEmpty = async () => {
      const counts = await Promise.all(mesh.sidecars.map((each) => each.metric('outrider_calls_in_flight')));
      return sumOf(counts) === 0;
    };
    trial.within('nothing of them is left in the sidecars', 1_000, await measure(isEmpty, 3_000));
    load.resume();
  },
});

const longStreams = drillRow({
  name: 'long-streams',
  fault: 'certificates, configuration, connections and endpoints change under open streams',
  plan: { caller: { drain_timeout: '60s' }, upstream: { pool: { max_age: '2s' } } },
  work: async ({ trial, mesh, load }) => {
    const streams = await OpenStreams.open(mesh.target, STREAMS);
    try {
      const fromMs = performance.now();
      const pauseMs = trial.pick(500, 5_000);
      await mesh.bench.identity(APP);
      await mesh.bench.identity(MODEL);
      const rotations = () => mesh.caller.metric('outrider_identity_rotations_total');
      await until('the certificates are replaced', async () => (await rotations()) > 0);
      await delay(pauseMs);
      const file = join(mesh.bench.directory, `${APP}.yaml`);
      const config = JSON.parse(readFileSync(file, 'utf8'));
      const reload = () => {
        writeFileSync(file, JSON.stringify(config));
        process.kill(mesh.caller.pid, 'SIGHUP');
      };
      const upstream = config.outbound.upstreams[MODEL];
      upstream.routes = [{ ...upstream.routes[0], timeout: '7s' }];
      const last = upstream.endpoints.pop();
      reload();
      const knows = async () => (await mesh.caller.page('/endpoints')).text.includes(last);
      await until('an endpoint is gone', async () => !(await knows()));
      await delay(pauseMs);
      upstream.endpoints.push(last);
      reload();
      await until('it is back', knows);
      await delay(trial.pick(1_500, 5_000));
      const broken = streams.endings.map(({ what }) => what);
      trial.none('no stream is broken', broken.length, `of ${STREAMS} ${broken[0] ?? ''}`);
      trial.expectAvailable(await load.between(fromMs), 99.9);
    } finally {
      streams.close();
    }
  },
});

const diskFull: DecisionRow = {
  name: 'disk-full',
  fault: 'the disk of the access log is full, and then it is not',
  run: async (_, trial) => {
    const log = join(new Scratch().path, 'access.log');
    symlinkSync('/dev/full', log);
    await drill(trial, { caller: { access_log: { path: log } } }, async ({ mesh, load }) => {
      const fromMs = performance.now();
      const calls = await load.during(fromMs, trial.pick(1_500, 10_000));
      const dropped = await mesh.caller.metric('outrider_access_log_dropped_total');
      trial.expect('lines are dropped and counted', dropped > 0, `${dropped} lines`);
      trial.expectAvailable(calls, 100);
      renameSync(log, `${log}.full`);
      const has = () => existsSync(log) && readFileSync(log, 'utf8').split('\n').length > 10;
      trial.within('a new file is written to', 6_000, await measure(has, 10_000));
    });
  },
};

export const CLIENT_ROWS: readonly DecisionRow[] = [slowReader, clientDies, longStreams, diskFull];
