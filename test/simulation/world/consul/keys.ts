/** Keys, sessions and transactions, as far as sidecars use them for rollouts. */
import { durationMs } from './duration.js';
import type { HttpAnswer, HttpRequest } from './http.js';
import type { ConsulServers } from './servers.js';

type Json = Readonly<Record<string, unknown>>;

const ok = (value: unknown): HttpAnswer => ({ status: 200, headers: {}, body: JSON.stringify(value) });

export function keyAnswer(servers: ConsulServers, node: string, request: HttpRequest): HttpAnswer {
  const [, kind, ...rest] = request.path;
  if (kind === 'session') return sessionAnswer(servers, node, rest, request.body);
  if (kind === 'txn') return transaction(servers, JSON.parse(request.body) as Json[]);
  if (kind !== 'kv') return { status: 404, headers: {}, body: '' };
  const key = rest.join('/');
  return request.method === 'GET'
    ? read(servers, key, request.query.has('recurse'))
    : write(servers, key, request);
}

function sessionAnswer(
  servers: ConsulServers,
  node: string,
  [verb = '', id = '']: readonly string[],
  body: string,
): HttpAnswer {
  if (verb === 'create') {
    const { TTL, Name = '' } = JSON.parse(body) as { TTL?: string; Name?: string };
    return ok({ ID: servers.openSession(durationMs(TTL ?? '0s'), node, Name) });
  }
  if (verb === 'renew')
    return servers.renewSession(id)
      ? ok([renewed(servers, id)])
      : { status: 404, headers: {}, body: `Session id '${id}' not found` };
  servers.endSession(id);
  return ok(true);
}

function renewed(servers: ConsulServers, id: string): Json {
  const { node, ttlMs, name } = servers.sessionAt(id)!;
  return {
    ...{ ID: id, Name: name, Node: node, LockDelay: 0, Behavior: 'delete', TTL: `${ttlMs / 1_000}s` },
    ...{ NodeChecks: ['serfHealth'], ServiceChecks: null, CreateIndex: 10, ModifyIndex: 10 },
  };
}

function read({ tables }: ConsulServers, key: string, isPrefix: boolean): HttpAnswer {
  const found = [...tables.keys]
    .filter(([name]) => (isPrefix ? name.startsWith(key) : name === key))
    .map(([Key, { value, index, session }]) => ({
      ...{ LockIndex: 0, Key, Flags: 0, Value: value, CreateIndex: index, ModifyIndex: index },
      ...(session === '' ? {} : { Session: session }),
    }));
  const headers = { 'X-Consul-Index': `${tables.index}` };
  return found.length === 0
    ? { status: 404, headers, body: '' }
    : { status: 200, headers, body: JSON.stringify(found) };
}

function write(servers: ConsulServers, key: string, { query, body }: HttpRequest): HttpAnswer {
  const value = Buffer.from(body).toString('base64');
  const known = servers.tables.keys.get(key);
  const [cas, acquire, release] = [query.get('cas'), query.get('acquire'), query.get('release')];
  if (cas !== undefined) {
    if (Number(cas) !== (known?.index ?? 0)) return ok(false);
    servers.setKey(key, value);
    return ok(true);
  }
  if (acquire !== undefined) {
    if (!servers.hasSession(acquire))
      return { status: 500, headers: {}, body: `invalid session "${acquire}"` };
    if (known !== undefined && known.session !== '' && known.session !== acquire) return ok(false);
    servers.setKey(key, value, acquire);
    return ok(true);
  }
  if (release !== undefined) {
    if (known?.session !== release) return ok(false);
    servers.releaseKey(key);
    return ok(true);
  }
  servers.setKey(key, value);
  return ok(true);
}

/** All steps, or none. */
function transaction(servers: ConsulServers, steps: readonly Json[]): HttpAnswer {
  const verbs = steps.map(
    ({ KV }) => KV as { Verb: string; Key: string; Session?: string; Value?: string; Index?: number },
  );
  const errors = verbs.flatMap(({ Verb, Key, Session, Index }, OpIndex) => {
    const known = servers.tables.keys.get(Key);
    if (Verb === 'check-session')
      return known?.session === Session ? [] : [{ OpIndex, What: `failed session check on key "${Key}"` }];
    return (known?.index ?? 0) === Index
      ? []
      : [{ OpIndex, What: `failed to set key "${Key}", index is stale` }];
  });
  if (errors.length > 0)
    return { status: 409, headers: {}, body: JSON.stringify({ Results: null, Errors: errors }) };
  for (const { Verb, Key, Value } of verbs) if (Verb === 'cas') servers.setKey(Key, Value ?? '');
  // Their values are left out.
  const Results = verbs.map(({ Key }) => {
    const { index, session } = servers.tables.keys.get(Key)!;
    const kept = { LockIndex: 0, Key, Flags: 0, Value: null, CreateIndex: index, ModifyIndex: index };
    return { KV: session === '' ? kept : { ...kept, Session: session } };
  });
  return ok({ Results, Errors: null });
}
