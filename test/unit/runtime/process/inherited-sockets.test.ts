import assert from 'node:assert/strict';
import {
  handedIn,
  inheriting,
  withoutSockets,
} from '../../../../sidecar/runtime/process/inherited-sockets.js';

describe('inherited sockets', () => {
  it('come from a service manager by name, to the process it meant', () => {
    const env = { LISTEN_FDS: '2', LISTEN_PID: '77', LISTEN_FDNAMES: 'upstream.digits:admin' };
    assert.deepEqual(handedIn(env, 77), {
      holdBack: false,
      sockets: { 'upstream.digits': { fd: 3, isGiven: true }, admin: { fd: 4, isGiven: true } },
    });
    assert.deepEqual(handedIn(env, 78), { holdBack: false, sockets: {} });
    assert.deepEqual(Object.keys(withoutSockets({ ...env, PATH: '/bin' })), ['PATH']);
  });

  it('without a name of their own are refused', () => {
    const from = (env: Record<string, string>) => () => handedIn({ LISTEN_PID: '77', ...env }, 77);
    const same = /LISTEN_FDNAMES=a:a: each of 2 sockets needs a name of its own/;
    assert.throws(from({ LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:a' }), same);
    assert.throws(from({ LISTEN_FDS: '1' }), /FileDescriptorName/);
  });

  it('that a process hands on have descriptors in their order, and their child learns of no others', () => {
    const at = { kind: 'unix', path: '/a' } as const;
    const sockets = [
      { name: 'admin', fd: 20, at },
      { name: 'inbound', fd: 10, at, isGiven: true },
    ] as const;
    const { env, fds } = inheriting(sockets, { holdBack: true, generation: 2, tells: true });
    assert.deepEqual(fds, [20, 10]);
    assert.deepEqual(handedIn({ ...env, LISTEN_FDS: '1', LISTEN_PID: '77' }, 77), {
      holdBack: true,
      generation: 2,
      tell: 5,
      sockets: { admin: { fd: 3, at }, inbound: { fd: 4, at, isGiven: true } },
    });
    assert.deepEqual(withoutSockets(env), {});
  });
});
