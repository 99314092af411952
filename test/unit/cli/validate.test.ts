/** `outrider validate`. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validateCommand } from '../../../sidecar/cli/validate.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';

const OFFF = 'found "offf"; expected one of strict, permissive, off; did you mean "off"?';

describe('outrider validate', () => {
  let dir = '';
  let good = '';
  let warned = '';
  let bad = '';
  beforeEach(() => {
    const scratch = scratchForTest();
    dir = scratch.path;
    const identity = 'service: s\nidentity: {cert: c, key: k, roots: r}';
    const inbound = 'inbound: {listen: "127.0.0.1:1", local: "unix:/m"';
    good = scratch.write('good.yaml', `${identity}\n${inbound}, default_intention: allow}\n`);
    warned = scratch.write('warned.yaml', `${identity}\n${inbound}}\n`);
    bad = scratch.write('bad.yaml', `service: s\n${inbound}, mtls: offf}\nlimit: {}\n`);
  });

  function run(files: readonly string[], json: boolean): { code: number; out: string[]; error: string[] } {
    const out: string[] = [];
    const error: string[] = [];
    const output = { out: (line: string) => out.push(line), error: (line: string) => error.push(line) };
    const code = validateCommand(files, { json }, output);
    return { code, out, error };
  }

  it('says ok for each good file and ends with 0', () =>
    assert.deepEqual(run([good, good], false), { code: 0, out: [`ok ${good}`, `ok ${good}`], error: [] }));

  it('says warnings aside and still ends with 0', () => {
    const { code, out, error } = run([warned], false);
    assert.deepEqual([code, out], [0, [`ok ${warned}`]]);
    assert.deepEqual(error, [`warning: ${warned}:3: inbound.intentions: no intention allows calls to s`]);
  });

  it('says every problem of every bad file and ends with 1', () => {
    const missing = join(dir, 'none.yaml');
    const { code, out, error } = run([bad, good, missing], false);
    assert.equal(code, 1);
    assert.deepEqual(out, [`ok ${good}`]);
    assert.equal(error.length, 3);
    assert.equal(error[0], `${bad}:2: inbound.mtls: ${OFFF}`);
    assert.ok(error[1]!.startsWith(`${bad}:3: limit: unknown option; `));
    assert.ok(error[1]!.endsWith('did you mean "limits"?'));
    assert.equal(error[2], `${missing}: no such file`);
  });

  it('says where a mesh file names a directory of models that is not there, or has none', () => {
    const scratch = scratchForTest();
    mkdirSync(join(scratch.path, 'models/digits/1'), { recursive: true });
    mkdirSync(join(scratch.path, 'empty/digits/draft'), { recursive: true });
    scratch.write('file', '');
    const services =
      'here: { models: models }\n  gone:\n    models: nowhere\n  odd: { models: file }\n  none: { models: empty }';
    const mesh = scratch.write(
      'mesh.yaml',
      `services:\n  ${services}\ncaller: { name: a, shared: { listen: "127.0.0.1:1", by: authority }, upstreams: { here: {}, gone: {}, odd: {}, none: {} } }\ndefault_intention: allow\n`,
    );
    const { code, error } = run([mesh], false);
    assert.equal(code, 1);
    assert.deepEqual(error, [
      `${mesh}:4: services.gone.models: ${join(scratch.path, 'nowhere')}: no such directory; expected a directory of models, relative to this file`,
      `${mesh}:5: services.odd.models: ${join(scratch.path, 'file')} is not a directory; expected a directory of models, each as NAME/VERSION/model.onnx`,
      `${mesh}:6: services.none.models: ${join(scratch.path, 'empty')}: found no models; expected NAME/VERSION/model.onnx below it`,
    ]);
  });

  it('takes a copy of a mesh file of the program, whose models are not beside the copy, and says where they are', () => {
    const copy = scratchForTest().write('mine.yaml', readFileSync('mesh-config/demo.yaml'));
    const { code, out, error } = run([copy], false);
    assert.deepEqual([code, out], [0, [`ok ${copy}`]]);
    assert.equal(error.length, 2);
    assert.match(
      error[0]!,
      /mine\.yaml:12: services\.digits\.models: no such directory; taking the one that came with the program: /,
    );
    assert.ok(error[0]!.endsWith('/services/digits/models'), error[0]);
  });

  it('says the same as one JSON document for programs', () => {
    const { code, out, error } = run([good, bad, dir], true);
    assert.equal(code, 1);
    assert.deepEqual(error, []);
    const { files } = JSON.parse(out.join('\n')) as { files: Record<string, unknown>[] };
    assert.deepEqual(files[0], { file: good, ok: true, kind: 'sidecar', problems: [], warnings: [] });
    assert.equal(files[1]!['ok'], false);
    const [first] = files[1]!['problems'] as object[];
    assert.deepEqual(first, { file: bad, line: 2, path: 'inbound.mtls', message: OFFF });
    const problems = [{ file: dir, path: '', message: 'is a directory; expected a file' }];
    assert.deepEqual(files[2], { file: dir, ok: false, problems, warnings: [] });
  });

  it('ends with 1 when no file is given, as nothing was found good', () =>
    assert.equal(run([], false).code, 1));
});
