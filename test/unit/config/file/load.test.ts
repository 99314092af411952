/** Files as they lie on disk. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { loadAnyFile, loadMeshFile, loadSidecarFile } from '../../../../sidecar/config/file/load.js';
import { formatProblems } from '../../../../sidecar/config/problem.js';

const SIDECAR =
  'service: s\nidentity: {cert: certs/c, key: k, roots: r}\ninbound: {listen: "127.0.0.1:1", local: "unix:m"}\n';

describe('loading a file', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'outrider-load-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const write = (name: string, content: string | Buffer): string => {
    const path = join(dir, name);
    writeFileSync(path, content);
    return path;
  };
  const problem = (path: string): string => {
    const result = loadSidecarFile(path);
    assert.ok(!result.ok, 'was accepted');
    return formatProblems(result.problems);
  };

  it('makes paths absolute, from where the file lies', () => {
    const path = write('good.yaml', SIDECAR);
    const result = loadSidecarFile(relative(process.cwd(), path));
    assert.ok(result.ok);
    assert.deepEqual(result.config.identity, {
      kind: 'files',
      cert: join(dir, 'certs/c'),
      key: join(dir, 'k'),
      roots: join(dir, 'r'),
    });
    assert.deepEqual(result.config.inbound!.local, { kind: 'unix', path: join(dir, 'm') });
  });

  it('follows a symbolic link, and takes paths from where the link lies', () => {
    mkdirSync(join(dir, 'elsewhere'));
    write('elsewhere/real.yaml', SIDECAR);
    symlinkSync(join(dir, 'elsewhere/real.yaml'), join(dir, 'link.yaml'));
    const result = loadSidecarFile(join(dir, 'link.yaml'));
    assert.ok(result.ok && result.config.identity.kind === 'files');
    assert.equal(result.config.identity.key, join(dir, 'k'));
  });

  it('says in one line that there is no such file', () => {
    assert.equal(problem(join(dir, 'none.yaml')), `${join(dir, 'none.yaml')}: no such file`);
    assert.match(
      problem(join(write('plain', ''), 'below')),
      /no such file: a part of its path is not a directory/,
    );
  });

  it('says in one line that it is a directory', () =>
    assert.equal(problem(dir), `${dir}: is a directory; expected a file`));

  it('says in one line that it is not UTF-8', () => {
    const path = write('latin1.yaml', Buffer.from([0x61, 0x3a, 0x20, 0xe4, 0x0a]));
    assert.equal(problem(path), `${path}: is not UTF-8 text`);
  });

  it('says in one line that it is too large, without reading it', () => {
    const path = write('large.yaml', Buffer.alloc(1_048_577, '#'));
    assert.equal(problem(path), `${path}: found 1048577 bytes; expected at most 1048576 (1MiB)`);
  });

  it('says in one line that it may not be read', () => {
    const path = write('secret.yaml', SIDECAR);
    chmodSync(path, 0o000);
    // The superuser may read everything; then reading it is right.
    if (process.getuid?.() === 0) assert.ok(loadSidecarFile(path).ok);
    else assert.equal(problem(path), `${path}: may not be read by this user`);
  });

  it('does not read from a device, which may have no end', () =>
    assert.equal(problem('/dev/zero'), '/dev/zero: is a device, pipe or socket; expected a file'));

  it('tells the kinds of file apart by what they hold', () => {
    const mesh = write(
      'mesh.yaml',
      'services: {a: {models: m}}\ncaller: {name: c, upstreams: {a: {listen: "127.0.0.1:1"}}}',
    );
    const neither = write('neither.yaml', 'name: x');
    const both = write('both.yaml', 'service: x\nservices: {}');
    assert.equal(loadAnyFile(mesh).kind, 'mesh');
    assert.ok(loadMeshFile(mesh).ok);
    assert.equal(loadAnyFile(write('good.yaml', SIDECAR)).kind, 'sidecar');
    for (const path of [neither, both]) {
      const { kind, result } = loadAnyFile(path);
      assert.equal(kind, undefined);
      assert.ok(!result.ok);
      assert.match(
        formatProblems(result.problems),
        /:1: expected a mesh file, which has services, or a sidecar file, which has service$/,
      );
    }
    const { result: mistyped } = loadAnyFile(write('mistyped.yaml', 'servces: {}'));
    assert.ok(!mistyped.ok);
    assert.match(formatProblems(mistyped.problems), /; found "servces"; did you mean "services"\?$/);
    assert.equal(loadAnyFile(dir).kind, undefined);
  });
});
