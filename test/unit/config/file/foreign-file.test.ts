import assert from 'node:assert/strict';
import { parseAnyFile, parseMeshFile, parseSidecarFile } from '../../../../sidecar/config/file/parse.js';

/** What is said of a text, whichever kind of file was expected. */
function said(text: string): string[] {
  const results = [parseAnyFile(text, 'f').result, parseMeshFile(text, 'f'), parseSidecarFile(text, 'f')];
  return results.map((result) =>
    result.ok ? 'ok' : result.problems.map(({ message }) => message).join('; '),
  );
}

describe('a file of another program', () => {
  for (const [what, text, says] of [
    [
      'an object of Kubernetes',
      'apiVersion: v1\nkind: Service\n',
      /^found an object of Kubernetes; "outrider inject/,
    ],
    [
      'several of them',
      'apiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: B\n',
      /^found an object of Kubernetes/,
    ],
    [
      'a configuration of Envoy',
      'static_resources: {}\nadmin: {}\n',
      /^found a configuration of Envoy; docs\/MIGRATE/,
    ],
    ['a JSON Schema', '{ "$schema": "x", "properties": { "services": {} } }', /^found a JSON Schema/],
    [
      'a Compose file',
      'version: "3"\nservices: { a: { image: x }, b: { build: . } }\n',
      /^found a file of Docker Compose/,
    ],
  ] as const)
    it(`is named, and nothing else is said: ${what}`, () => {
      for (const each of said(text)) assert.match(each, new RegExp(`${says.source}[^;]*(; [^;]*)?$`));
    });

  it('is told from a model.yaml', () => {
    for (const each of said('golden: {}\n')) assert.match(each, /^found a model.yaml/);
  });

  it('is not a mesh file in which one service has a wrong option', () => {
    const [, mesh] = said('services: { a: { models: /x }, b: { image: y } }\n');
    assert.match(mesh!, /^unknown option; .*found neither models nor command/);
  });
});
