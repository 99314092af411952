import assert from 'node:assert/strict';
import { OwnPlace } from '../../../../../sidecar/discovery/consul/catalog/own-place.js';
import { SETTINGS } from '../../../../kit/consul/registration-kit.js';
import { type Kit, kit } from '../../../../kit/consul/scripted-agent.js';

const SELF = { Config: { NodeName: 'n 1' } };
const PATH = '/catalog/node/n%201';

describe('the own place', () => {
  let consul: Kit;
  let own: OwnPlace;
  let changes: (string | undefined)[];

  const open = (config: Parameters<typeof kit>[0] = {}) => {
    consul = kit(config);
    own = new OwnPlace(consul.watches, consul.deps);
    changes = [];
  };
  const watch = () => own.watch(() => changes.push(own.current));
  const node = (Node: object) => ({ Node: { Datacenter: 'dc1', ...Node }, Services: {} });

  afterEach(() => {
    own.close();
    consul.close();
  });

  it('is read once it is asked for, of the node of the agent, without its services', async () => {
    open();
    await consul.clock.settle();
    assert.equal(consul.agent.reads.length, 0);
    watch();
    await consul.at('/agent/self').answer(undefined, SELF);
    assert.equal(consul.at(PATH).query['filter'], 'ID == ""');
    await consul.at(PATH).answer(7, node({ Meta: { region: 'eu', zone: 'a' } }));
    assert.deepEqual(changes, ['eu/a']);
  });

  it('is followed: a node that gets other metadata is elsewhere', async () => {
    open();
    watch();
    await consul.at('/agent/self').answer(undefined, SELF);
    await consul.at(PATH).answer(7, node({ Meta: { zone: 'a' } }));
    await consul.at(PATH).answer(8, node({ Meta: { zone: 'a', other: 'x' } }));
    await consul.at(PATH).answer(9, node({ Meta: {} }));
    assert.deepEqual(changes, ['dc1/a', undefined]);
  });

  it('goes by Locality where the node has one (Consul 1.17), and by the keys that are configured', async () => {
    open({ locality: { region: 'r', zone: 'rack' } });
    watch();
    await consul.at('/agent/self').answer(undefined, SELF);
    await consul.at(PATH).answer(7, node({ Meta: { r: 'eu', rack: '7', region: 'no' } }));
    await consul.at(PATH).answer(8, node({ Locality: { Region: 'us', Zone: 'b' }, Meta: { r: 'eu' } }));
    assert.deepEqual(changes, ['eu/7', 'us/b']);
  });

  it('is that of our own registration where its metadata says it, and nothing is read', async () => {
    open({ registration: { ...SETTINGS, meta: { region: 'eu', zone: 'c' } } });
    watch();
    await consul.clock.settle();
    assert.equal(own.current, 'eu/c');
    assert.equal(consul.agent.reads.length, 0);
  });

  it('is unknown while the agent says nothing of use', async () => {
    for (const said of [{}, [], 'x', { Config: 7 }]) {
      open();
      watch();
      await consul.at('/agent/self').answer(undefined, said);
      assert.deepEqual([own.current, changes], [undefined, []]);
      own.close();
      consul.close();
    }
    open();
    watch();
    await consul.at('/agent/self').answer(undefined, SELF);
    await consul.at(PATH).answer(7, 'null');
    assert.equal(own.current, undefined);
  });

  it('tells each user until it leaves', async () => {
    open();
    const leave = watch();
    await consul.at('/agent/self').answer(undefined, SELF);
    leave();
    await consul.at(PATH).answer(7, node({ Meta: { zone: 'a' } }));
    assert.deepEqual([own.current, changes], ['dc1/a', []]);
  });
});
