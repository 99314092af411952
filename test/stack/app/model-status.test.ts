/** What peers are told of the model, by a whole sidecar: nothing is probed before the first question. */
import assert from 'node:assert/strict';
import type { Server } from 'node:net';
import type { RunningSidecar } from '../../../sidecar/app/running-sidecar.js';
import { healthAnswer, healthQuestion, readHealthAnswer } from '../../../sidecar/codec/health.js';
import type { Address } from '../../../sidecar/config/model.js';
import { ANY, aConfig, answered, SidecarInMemory, until } from '../../kit/stack/sidecar-in-memory.js';
import { type Application, anInbound, type Backend } from '../../kit/stack/stack.js';

const CHECK = '/grpc.health.v1.Health/Check';

describe('What peers are told of the model', () => {
  let bench: SidecarInMemory;
  let sidecar: RunningSidecar;
  let peer: Application;
  let model: Backend;
  let local: Address;
  let server: Server;

  beforeEach(async () => {
    bench = new SidecarInMemory();
    ({ backend: model, address: local, server } = await bench.server('model'));
    model.answer = (stream) =>
      void (stream.header(':path') === CHECK ? stream.reply(healthAnswer(true)) : stream.reply());
  });
  afterEach(() => bench.close());

  const start = async (): Promise<void> => {
    const inbound = anInbound({
      ...{ listen: ANY, local, mtls: 'off', defaultIntention: 'allow', intentions: [] },
    });
    sidecar = await bench.sidecar(aConfig({ inbound }));
    peer = await bench.app(sidecar.addresses.inbound!);
  };
  const ready = () => until('ready', () => sidecar.view.notReady().length === 0);
  const ask = async (service = ''): Promise<number | undefined> => {
    const asked = await answered(peer.call({ path: CHECK, body: healthQuestion(service) }));
    return asked.status === 0 ? readHealthAnswer(asked.body) : -asked.status;
  };
  const checks = (): number => model.requests.filter((each) => each.header(':path') === CHECK).length;
  const probes = (): number => {
    const family = sidecar.view.metrics().find(({ name }) => name === 'outrider_model_probes_total');
    return (family?.samples ?? []).reduce((sum, sample) => sum + ('value' in sample ? sample.value : 0), 0);
  };

  it('comes from the model at first, and from what is known of it afterwards', async () => {
    await start();
    await ready();
    bench.clock.advance(60_000);
    assert.equal(checks(), 0, 'no question, no probe');
    assert.equal(await ask(), 1);
    await until('the model has been asked by us too', () => probes() === 1);
    const before = checks();
    assert.equal(await ask(), 1);
    assert.equal(checks(), before);
  });

  it('is asked of the model for names that are not known here', async () => {
    await start();
    await ready();
    model.answer = (stream) => void stream.fail(5);
    assert.equal(await ask('letters'), -5);
  });

  it('is no as long as there is no model, and as soon as it is gone', async () => {
    model.peerOptions = { settings: null };
    await start();
    await until('it is being connected to', () => model.peers.length > 0);
    assert.equal(await ask(), 2);
    model.peerOptions = {};
    model.peer.announce([]);
    await ready();
    assert.equal(await ask(), 1);
    server.close();
    for (const each of model.peers) each.socket.destroy();
    await until('gone', () => sidecar.view.notReady().length > 0);
    assert.equal(await ask(), 2);
  });

  it('is no when the model says so itself', async () => {
    model.answer = (stream) => void stream.reply(healthAnswer(false));
    await start();
    await ready();
    assert.equal(await ask(), 2);
    await until('judged', () => probes() === 1);
    assert.equal(await ask(), 2);
  });

  it('is yes while the model works on the first call, whatever that takes', async () => {
    model.answer = () => {};
    await start();
    await ready();
    peer.call();
    await until('the model has it', () => model.requests.length === 1);
    assert.equal(await ask(), 1);
  });
});
