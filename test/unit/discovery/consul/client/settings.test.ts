import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConsulConfig } from '../../../../../sidecar/config/model.js';
import { agentSettings, describeAddress } from '../../../../../sidecar/discovery/consul/client/settings.js';
import type { Environment } from '../../../../../sidecar/discovery/settings-files.js';
import { CONFIG } from '../../../../kit/consul/scripted-agent.js';
import { scratchForTest } from '../../../../kit/mocha/scratch.js';

const TOKEN = '5ec4e7-70ce-4-marker';
const CERT = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const KEY = '-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n';

const settings = (config: Partial<ConsulConfig>, env: Environment = {}) =>
  agentSettings({ ...CONFIG, ...config }, env);
const where = (config: Partial<ConsulConfig>, env: Environment = {}) =>
  describeAddress(settings(config, env).address);

function refused(expected: RegExp, config: Partial<ConsulConfig>, env: Environment = {}): void {
  assert.throws(
    () => settings(config, env),
    ({ message }: Error) => {
      assert.match(message, expected);
      assert.ok(!message.includes('\n'));
      assert.ok(!message.includes(TOKEN));
      return true;
    },
  );
}
const refusedIn = (env: Environment, expected: RegExp): void => refused(expected, {}, env);

describe('the address of the agent', () => {
  for (const [address, variable, ssl, expected] of [
    [undefined, undefined, undefined, 'http://127.0.0.1:8500'],
    [undefined, '', '', 'http://127.0.0.1:8500'],
    [undefined, undefined, 'true', 'https://127.0.0.1:8500'],
    [undefined, '10.0.0.1:8501', undefined, 'http://10.0.0.1:8501'],
    [undefined, 'consul.example:8501', '1', 'https://consul.example:8501'],
    [undefined, 'http://consul.example:8501', 'T', 'https://consul.example:8501'],
    [undefined, 'https://consul.example:8501', 'false', 'https://consul.example:8501'],
    [undefined, 'https://consul.example', undefined, 'https://consul.example:443'],
    [undefined, 'unix:///run/consul.sock', undefined, 'unix:///run/consul.sock'],
    [undefined, '[::1]:8500', undefined, 'http://[::1]:8500'],
    ['http://10.0.0.2:8500', '10.0.0.1:8500', undefined, 'http://10.0.0.2:8500'],
    ['http://10.0.0.2:8500', undefined, 'true', 'http://10.0.0.2:8500'],
    ['10.0.0.2:8500', undefined, 'true', 'https://10.0.0.2:8500'],
    ['unix:///run/consul.sock', '10.0.0.1:8500', undefined, 'unix:///run/consul.sock'],
    ['http://gateway:80/consul/', undefined, undefined, 'http://gateway:80/consul'],
  ] as const) {
    it(`the address of the agent is ${expected} for ${address} in the file, ${variable} and SSL ${ssl} in the environment`, () => {
      const env = { CONSUL_HTTP_ADDR: variable, CONSUL_HTTP_SSL: ssl };
      assert.equal(where(address === undefined ? {} : { address }, env), expected);
    });
  }

  const bad = ['ftp://a:21', 'http://', 'a b', 'http://a:0', 'http://a:99999', 'http://a?x=1', 'unix://run'];
  for (const address of bad) {
    it(`the address of the agent refuses ${address}`, () => {
      refused(/^consul\.address is ".*"; expected /, { address });
      refusedIn({ CONSUL_HTTP_ADDR: address }, /^CONSUL_HTTP_ADDR is ".*"; expected /);
    });
  }

  it('the address of the agent quotes no address with credentials in it', () => {
    refusedIn({ CONSUL_HTTP_ADDR: `http://u:${TOKEN}@a:8500` }, /^CONSUL_HTTP_ADDR must not hold a user/);
    refused(/^consul\.address must not hold a user/, { address: `http://u:${TOKEN}@:no` });
  });
});

describe('the environment of the agent', () => {
  it('an environment that asks for what only Consul Enterprise has is refused', () => {
    refusedIn(
      { CONSUL_NAMESPACE: 'team-a' },
      /^CONSUL_NAMESPACE is "team-a"; expected it unset or "default"/,
    );
    refusedIn({ CONSUL_PARTITION: 'p' }, /^CONSUL_PARTITION is "p"/);
    settings({}, { CONSUL_NAMESPACE: 'default', CONSUL_PARTITION: '' });
  });

  it('a boolean in the environment is spelled as Consul spells it', () => {
    for (const [text, value] of [
      ['0', false],
      ['FALSE', false],
      ['f', false],
      ['1', true],
      ['True', true],
    ] as const)
      assert.equal(settings({}, { CONSUL_HTTP_SSL_VERIFY: text }).tls().verify, value);
    refusedIn({ CONSUL_HTTP_SSL_VERIFY: 'no' }, /^CONSUL_HTTP_SSL_VERIFY is "no"; expected true or false/);
    refusedIn({ CONSUL_HTTP_SSL: 'yes' }, /^CONSUL_HTTP_SSL is "yes"/);
  });
});

describe('the token and the certificates for the agent', () => {
  let folder: string;
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  beforeEach(() => {
    folder = scratchForTest().path;
  });

  it('token and certificates come from the file, else from the variable for a file, else from the variable', () => {
    const env = { CONSUL_HTTP_TOKEN: ' c ', CONSUL_HTTP_TOKEN_FILE: file('b', 'b\n') };
    assert.equal(settings({ tokenFile: file('a', 'a\n') }, env).token(), 'a');
    assert.equal(settings({}, env).token(), 'b');
    assert.equal(settings({}, { CONSUL_HTTP_TOKEN: ' c ' }).token(), 'c');
    assert.equal(settings({}, { CONSUL_HTTP_TOKEN: '' }).token(), undefined);
    assert.equal(settings({}).token(), undefined);
  });

  it('token and certificates name what is wrong with a token without quoting it', () => {
    const none = { tokenFile: join(folder, 'no') };
    refused(/^consul\.token_file is ".*"; expected a file that holds a token: ENOENT/, none);
    refusedIn({ CONSUL_HTTP_TOKEN_FILE: file('empty', ' \n') }, /^CONSUL_HTTP_TOKEN_FILE holds no token/);
    refused(/^consul\.token_file is ".*": not a regular file|not a regular file/, { tokenFile: folder });
    refusedIn({ CONSUL_HTTP_TOKEN: `${TOKEN}\n${TOKEN}` }, /^CONSUL_HTTP_TOKEN holds something else/);
    refused(/larger than 1 MiB/, { tokenFile: file('large', 'x'.repeat(2 ** 20 + 1)) });
  });

  it('token and certificates do not hang on a FIFO', () => {
    const path = join(folder, 'fifo');
    execFileSync('mkfifo', [path]);
    refused(/not a regular file/, { tokenFile: path });
    refused(/not a regular file/, { tls: { ca: path } });
  });

  it('token and certificates are read from the files named, the file before the environment, part by part', () => {
    const env = {
      CONSUL_CACERT: file('ca2.pem', `${CERT}2`),
      CONSUL_CLIENT_CERT: file('cert.pem', CERT),
      CONSUL_CLIENT_KEY: file('key.pem', KEY),
      CONSUL_TLS_SERVER_NAME: 'server.dc1.consul',
      CONSUL_HTTP_SSL_VERIFY: 'false',
    };
    const all = { ca: [`${CERT}2`], cert: CERT, key: KEY, serverName: 'server.dc1.consul', verify: false };
    assert.deepEqual(settings({}, env).tls(), all);
    const tls = { ca: file('ca.pem', CERT), serverName: 'other', verify: true };
    assert.deepEqual(settings({ tls }, env).tls(), { ...all, ca: [CERT], serverName: 'other', verify: true });
    assert.deepEqual(settings({}).tls(), { verify: true });
  });

  it('token and certificates take every certificate of a directory of authorities, and pass over what is none', () => {
    const path = join(folder, 'authorities');
    mkdirSync(join(path, 'deeper'), { recursive: true });
    file('authorities/b.pem', `${CERT}b`);
    file('authorities/a.pem', `${CERT}a`);
    file('authorities/README', 'read me');
    assert.deepEqual(settings({}, { CONSUL_CAPATH: path }).tls().ca, [`${CERT}a`, `${CERT}b`]);
    for (const [name, problem] of [
      ['deeper', /^CONSUL_CAPATH is ".*"; expected a directory with at least one PEM/],
      ['none', /^CONSUL_CAPATH is ".*"; expected a directory of PEM files: ENOENT/],
    ] as const)
      refusedIn({ CONSUL_CAPATH: join(path, name) }, problem);
  });

  it('token and certificates name a file that is not what it should be', () => {
    for (const [tls, problem] of [
      [{ ca: join(folder, 'no') }, /^consul\.tls\.ca is ".*"; expected a readable PEM file: ENOENT/],
      [
        { cert: file('c', CERT), key: file('k', CERT) },
        /^consul\.tls\.key is ".*"; expected a PEM file with a private key in it/,
      ],
      [{ key: file('k2', KEY) }, /client key .* no client certificate/],
    ] as const)
      refused(problem, { tls });
    const noCertificate = /^CONSUL_CACERT is ".*"; expected a PEM file with a certificate in it/;
    refusedIn({ CONSUL_CACERT: file('ca', KEY) }, noCertificate);
    refusedIn({ CONSUL_CLIENT_CERT: file('c2', CERT) }, /client certificate .* no client key/);
  });
});
