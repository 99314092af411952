/** What a service says of its methods by server reflection: read from what protoc and others write, and from what is none of it. */
import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import {
  fileQuestion,
  readMethods,
  readServices,
  servicesQuestion,
} from '../../../sidecar/codec/reflection.js';

const SERVICE = 'shop.v1.Prices';

/** A MethodDescriptorProto. */
function method(name: string, streams: { client?: boolean; server?: boolean } = {}): MessageWriter {
  const { client = false, server = false } = streams;
  return new MessageWriter()
    .text(1, name)
    .text(2, '.shop.v1.Question')
    .text(3, '.shop.v1.Answer')
    .number(5, Number(client))
    .number(6, Number(server));
}

function serviceOf(name: string, ...methods: MessageWriter[]): MessageWriter {
  return methods.reduce((service, each) => service.message(2, each), new MessageWriter().text(1, name));
}

/** A ServerReflectionResponse with one FileDescriptorProto. */
function fileOf(inPackage: string, ...services: MessageWriter[]): Buffer {
  const file = new MessageWriter().text(1, 'shop.proto').text(2, inPackage);
  file.message(4, new MessageWriter().text(1, 'Question'));
  for (const each of services) file.message(6, each);
  return new MessageWriter()
    .text(1, 'localhost')
    .message(4, new MessageWriter().bytes(1, file.finish()))
    .finish();
}

function listOf(...names: string[]): Buffer {
  const list = names.reduce(
    (all, name) => all.message(1, new MessageWriter().text(1, name)),
    new MessageWriter(),
  );
  return new MessageWriter().message(6, list).finish();
}

const refusal = new MessageWriter().message(7, new MessageWriter().number(1, 5).text(2, 'no such symbol'));
const ERROR = refusal.finish();

describe('Server reflection', () => {
  it('is asked in the words of the protocol', () => {
    assert.equal(servicesQuestion().toString('hex'), '3a012a');
    assert.equal(fileQuestion('a.B').toString('hex'), '2203612e42');
  });

  describe('readServices', () => {
    it('gives the names, without those of gRPC itself and those that are none', () => {
      const names = [SERVICE, 'grpc.health.v1.Health', 'Plain', 'not a name', '', 'a..b'];
      assert.deepEqual(readServices(listOf(...names)), [SERVICE, 'Plain']);
    });
    it('gives an empty list of a server without services', () =>
      assert.deepEqual(readServices(listOf()), []));
    it('gives 32 of very many', () => {
      const names = Array.from({ length: 5_000 }, (_, i) => `a.S${i}`);
      assert.equal(readServices(listOf(...names))?.length, 32);
    });
    it('gives nothing of an error, of another answer and of noise', () => {
      for (const bytes of [ERROR, fileOf('a'), Buffer.alloc(0), Buffer.from('ffffffffffffff', 'hex')])
        assert.equal(readServices(bytes), undefined);
    });
  });

  describe('readMethods', () => {
    it('tells methods of one message from the three kinds of streams', () => {
      const prices = serviceOf(
        'Prices',
        method('Get'),
        method('Watch', { server: true }),
        method('Put', { client: true }),
        method('Talk', { client: true, server: true }),
      );
      assert.deepEqual(readMethods(fileOf('shop.v1', serviceOf('Other', method('X')), prices), SERVICE), {
        unary: [`/${SERVICE}/Get`],
        streaming: [`/${SERVICE}/Watch`, `/${SERVICE}/Put`, `/${SERVICE}/Talk`],
      });
    });
    it('reads a service without a package', () => {
      const bytes = fileOf('', serviceOf('Plain', method('Get')));
      assert.deepEqual(readMethods(bytes, 'Plain')?.unary, ['/Plain/Get']);
    });
    it('leaves out names that are none', () => {
      const bytes = fileOf('shop.v1', serviceOf('Prices', method('Get it'), method(''), method('Put')));
      assert.deepEqual(readMethods(bytes, SERVICE)?.unary, [`/${SERVICE}/Put`]);
    });
    it('gives nothing of an error, of a file without the service and of noise', () => {
      for (const bytes of [ERROR, fileOf('shop.v1'), listOf('a'), Buffer.from('22ff', 'hex')])
        assert.equal(readMethods(bytes, SERVICE), undefined);
    });
    it('of very many methods it keeps some, and a megabyte of tiny fields is not read to its end', () => {
      const many = Array.from({ length: 1_000 }, (_, i) => method(`M${i}`));
      assert.equal(readMethods(fileOf('shop.v1', serviceOf('Prices', ...many)), SERVICE)?.unary.length, 256);
      const tiny = Buffer.concat([Buffer.alloc(1024 * 1024, Buffer.from([0x48, 0x01])), fileOf('shop.v1')]);
      const startedMs = performance.now();
      assert.equal(readMethods(tiny, SERVICE), undefined);
      assert.ok(performance.now() - startedMs < 1_000);
    });
  });
});
