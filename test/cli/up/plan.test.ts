import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { adminAddress, callAddresses, callerOf, inboundAddress } from '../../../sidecar/cli/up/places.js';
import { planMesh, type Seat } from '../../../sidecar/cli/up/plan.js';
import { PortBook } from '../../../sidecar/cli/up/ports.js';
import { RunDirectory } from '../../../sidecar/cli/up/run-directory.js';
import { parseMeshFile, parseSidecarFile } from '../../../sidecar/config/parse.js';
import { stringifySidecar } from '../../../sidecar/config/stringify.js';
import { meshFile } from '../../support/mesh-file.js';
import { Scratch } from '../../support/outrider.js';

const FOREIGN = `
services:
  echo: { command: [serve-echo, --at, "{address}", --number, "{replica}"], replicas: 2, model: { env: { PORT: "{port}" } } }
caller: { name: client, upstreams: { echo: { listen: "127.0.0.1:0" } } }
`;

describe('plan of a mesh', () => {
  let scratch: Scratch;
  let ports: PortBook;

  beforeEach(() => {
    scratch = new Scratch();
    ports = new PortBook();
  });

  afterEach(async () => {
    await ports.release();
    scratch.remove();
  });

  function plan(text: string): Promise<Seat[]> {
    const parsed = parseMeshFile(text, 'mesh.yaml');
    assert.ok(parsed.ok, JSON.stringify(parsed));
    const run = RunDirectory.create(`${scratch.path}/run`);
    const issue = async (_: string, instance: string) => ({
      cert: `/${instance}/c`,
      key: `/${instance}/k`,
      roots: '/r',
    });
    return planMesh({ mesh: parsed.config, run, ports, issue, self: ['node', 'main.js'] });
  }

  it('gives every replica and the caller a seat, and tells the caller where all replicas are', async () => {
    const seats = await plan(meshFile({ replicas: 3 }));
    assert.deepEqual(
      seats.map((seat) => [seat.name, seat.service, seat.role]),
      [
        ['digits-1', 'digits', 'replica'],
        ['digits-2', 'digits', 'replica'],
        ['digits-3', 'digits', 'replica'],
        ['client', 'client', 'caller'],
      ],
    );
    const upstream = callerOf(seats).config.outbound!.upstreams[0]!;
    assert.deepEqual(
      upstream.endpoints.map((endpoint) => endpoint.id),
      ['digits-1', 'digits-2', 'digits-3'],
    );
    const everywhere = seats
      .flatMap((seat) => [inboundAddress(seat), adminAddress(seat)])
      .filter((a) => a !== undefined);
    everywhere.push(...Object.values(callAddresses(callerOf(seats))));
    assert.equal(new Set(everywhere).size, 8, 'an address is given twice');
    assert.ok(
      everywhere.every((address) => !address.endsWith(':0')),
      'a port is left open',
    );
  });

  it('runs our own model server on a socket that only this user can reach', async () => {
    const [seat] = await plan(meshFile());
    const { inbound, model } = seat!.config;
    assert.equal(inbound!.local.kind, 'unix');
    const path = inbound!.local.kind === 'unix' ? inbound!.local.path : '';
    assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
    assert.deepEqual(model!.command.slice(0, 3), ['node', 'main.js', 'serve']);
    assert.ok(model!.command.includes(`unix:${path}`) && model!.command.includes('--exit-with-stdin'));
    assert.equal(inbound!.mtls, 'strict');
    assert.equal(inbound!.defaultIntention, 'deny');
  });

  it('tells a foreign server where to listen, by argument and environment', async () => {
    const seats = await plan(FOREIGN);
    for (const [i, seat] of seats.slice(0, 2).entries()) {
      const { local } = seat.config.inbound!;
      assert.equal(local.kind, 'tcp');
      const port = local.kind === 'tcp' ? local.port : 0;
      assert.deepEqual(seat.config.model!.command, [
        'serve-echo',
        '--at',
        `127.0.0.1:${port}`,
        '--number',
        String(i + 1),
      ]);
      assert.deepEqual(seat.config.model!.env, { PORT: String(port) });
    }
  });

  it('writes sidecar files that read back as planned', async () => {
    for (const seat of await plan(meshFile({ replicas: 2 }))) {
      const back = parseSidecarFile(stringifySidecar(seat.config), seat.file);
      assert.ok(back.ok, JSON.stringify(back));
      assert.deepEqual(back.config, seat.config);
    }
  });

  it('gives fixed ports in order when the file names a base', async () => {
    const base = await freePair();
    const text = meshFile().replace('replicas: 1', `replicas: 1, port_base: ${base}`);
    const [seat] = await plan(text);
    assert.deepEqual(
      [inboundAddress(seat!), adminAddress(seat!)],
      [`127.0.0.1:${base}`, `127.0.0.1:${base + 1}`],
    );
  });

  it('refuses a port that is taken, naming who needed it', async () => {
    const port = await ports.find('127.0.0.1');
    await assert.rejects(plan(meshFile({ listen: `127.0.0.1:${port}` })), {
      message: `upstream digits: cannot listen on 127.0.0.1:${port}: the port is already taken`,
    });
  });

  /** A free port whose neighbour is free too. */
  async function freePair(): Promise<number> {
    for (;;) {
      const book = new PortBook();
      try {
        const port = await book.find('127.0.0.1');
        await book.claim('127.0.0.1', port + 1, 'test');
        return port;
      } catch {
        // taken: try another pair
      } finally {
        await book.release();
      }
    }
  }
});
