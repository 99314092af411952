/** Callers that read slowly, die or stay for long; and a log that cannot be written. */

import { fork } from 'node:child_process';
import { readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { until } from '../../kit/process/processes.js';
import { LOCAL_CHANNEL } from '../faults/call.js';
import { HOLD, OpenStreams } from '../faults/open-streams.js';
import { measure } from '../faults/row.js';
import { rssMb } from '../faults/usage.js';
import { FLOOD } from '../models/protocol.js';
import { type DecisionRow, drill, drillRow } from './drill.js';
import { APP, DecisionMesh, MODEL } from './mesh.js';

const HERE = fileURLToPath(import.meta.url);
const CLIENT = join(dirname(HERE), `client-process${extname(HERE)}`);

const slowReader = drillRow({
  name: 'slow-reader',
  fault: 'eight callers ask for streams without end and read nothing',
  work: async ({ trial, mesh, load }) => {
    const sidecars = [mesh.caller, ...mesh.replicas.map(({ sidecar }) => sidecar)];
    const before = sidecars.map(({ pid }) => rssMb(pid));
    const clients = Array.from(
      { length: 8 },
      () => new Client(mesh.target, credentials.createInsecure(), LOCAL_CHANNEL),
    );
    const asIs = (bytes: Buffer): Buffer => bytes;
    const streams = clients.map((client) =>
      client.makeBidiStreamRequest(HOLD.path, asIs, asIs, new Metadata(), {}),
    );
    for (const stream of streams) stream.on('error', () => {}).write(Buffer.from(FLOOD));
    const fromMs = performance.now();
    const calls = await load.during(fromMs, trial.pick(2_000, 15_000));
    const growth = Math.max(...sidecars.map(({ pid }, i) => rssMb(pid) - before[i]!));
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
    const client = fork(CLIENT, [mesh.target, String(STREAMS)], { execArgv: process.execArgv });
    const reply = await new Promise((resolve) => client.once('message', resolve));
    if (reply !== 'open') throw new Error(String(reply));
    const fromMs = performance.now();
    client.kill('SIGKILL');
    const cancelled = () => mesh.models.flatMap((model) => model.events('cancelled', fromMs));
    await measure(() => cancelled().length >= STREAMS, 3_000, fromMs);
    const last = Math.max(...cancelled().map(({ atMs }) => atMs - fromMs));
    const isAll = cancelled().length === STREAMS;
    trial.within('the models see every stream cancelled', 200, isAll ? last : undefined);
    load.pause();
    await load.between(fromMs, performance.now());
    const sidecars = [mesh.caller, ...mesh.replicas.map(({ sidecar }) => sidecar)];
    const inFlight = async () => {
      const counts = await Promise.all(sidecars.map((each) => each.metric('outrider_calls_in_flight')));
      return counts.reduce((sum, count) => sum + count, 0);
    };
    trial.within(
      'nothing of them is left in the sidecars',
      1_000,
      await measure(async () => (await inFlight()) === 0, 3_000),
    );
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
      const upstream = config.outbound.upstreams[MODEL];
      upstream.routes = [{ ...upstream.routes[0], timeout: '7s' }];
      const last = upstream.endpoints.pop();
      writeFileSync(file, JSON.stringify(config));
      process.kill(mesh.caller.pid, 'SIGHUP');
      const knows = async () => (await mesh.caller.page('/endpoints')).text.includes(last);
      await until('an endpoint is gone', async () => !(await knows()));
      await delay(pauseMs);
      upstream.endpoints.push(last);
      writeFileSync(file, JSON.stringify(config));
      process.kill(mesh.caller.pid, 'SIGHUP');
      await until('it is back', knows);
      await delay(trial.pick(1_500, 5_000));
      const broken = streams.endings.map(({ what }) => what);
      trial.none('no stream is broken', broken.length, `of ${STREAMS} ${broken[0] ?? ''}`);
      trial.expectAvailable(await load.between(fromMs, performance.now()), 99.9);
    } finally {
      streams.close();
    }
  },
});

const diskFull: DecisionRow = {
  name: 'disk-full',
  fault: 'the disk of the access log is full, and then it is not',
  run: async (_, trial) => {
    const log = join(DecisionMesh.scratch(), 'access.log');
    symlinkSync('/dev/full', log);
    await drill(trial, { caller: { access_log: { path: log } } }, async ({ mesh, load }) => {
      const fromMs = performance.now();
      const calls = await load.during(fromMs, trial.pick(1_500, 10_000));
      const dropped = await mesh.caller.metric('outrider_access_log_dropped_total');
      trial.expect('lines are dropped and counted', dropped > 0, `${dropped} lines`);
      trial.expectAvailable(calls, 100);
      renameSync(log, `${log}.full`);
      const has = () => {
        try {
          return readFileSync(log, 'utf8').split('\n').length > 10;
        } catch {
          return false;
        }
      };
      trial.within('a new file is written to', 6_000, await measure(has, 10_000));
    });
  },
};

export const CLIENT_ROWS: readonly DecisionRow[] = [slowReader, clientDies, longStreams, diskFull];
