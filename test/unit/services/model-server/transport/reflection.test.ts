/** Server reflection beside the library's: the same questions to both, and their answers field by field. */
import assert from 'node:assert/strict';
import type { MethodDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { describedDefinitions } from '../../../../../proto/load.js';
import { WireError } from '../../../../../proto/wire.js';
import { answerTo } from '../../../../../services/model-server/transport/reflection.js';

interface Response {
  /** Base64: the library's way of reading bytes. */
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly string[] };
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly errorResponse?: { readonly errorCode: number; readonly errorMessage: string };
}
type Info = MethodDefinition<object, Response>;

/** The library: v1 comes first. */
function library() {
  const added: [Info, UntypedServiceImplementation][] = [];
  const addService = (service: object, implementation: UntypedServiceImplementation): void => {
    added.push([(service as { ServerReflectionInfo: Info }).ServerReflectionInfo, implementation]);
  };
  new ReflectionService(describedDefinitions()).addToServer({ addService });
  const [info, implementation] = added[0]!;
  const answer = (question: Buffer): Response => {
    let found: Response | undefined;
    const stream = {
      on: (event: string, listener: (message: unknown) => void) => {
        if (event === 'data') listener(info.requestDeserialize(question));
      },
      write: (response: Response) => {
        found = info.responseDeserialize(info.responseSerialize(response));
      },
    };
    (implementation['ServerReflectionInfo'] as unknown as (each: typeof stream) => void)(stream);
    return found!;
  };
  return { info, answer };
}

const { info, answer } = library();
const ask = (question: object): Buffer => info.requestSerialize(question);
const own = (question: Buffer): Response => info.responseDeserialize(answerTo(question));

/** Full names of what is in the files, and of what is not. */
const SYMBOLS = [
  ...['inference.GRPCInferenceService', 'grpc.health.v1.Health', 'grpc.health.v1.Health.Check'],
  ...['inference.GRPCInferenceService.ModelInfer', 'inference.ModelInferRequest'],
  ...['inference.ModelInferRequest.model_name', 'inference.ModelInferRequest.InferInputTensor'],
  ...['inference.InferParameter.parameter_choice', 'inference.InferTensorContents.bytes_contents'],
  ...['grpc.health.v1.HealthCheckResponse.ServingStatus', 'inference.ModelInferRequest.ParametersEntry'],
  ...['inference.Nothing', 'inference', '', 'ModelInferRequest', '.inference.ModelInferRequest'],
];

describe('server reflection of a model server', () => {
  for (const symbol of SYMBOLS)
    it(`answers as the library does where '${symbol}' is asked about`, () => {
      const question = ask({ host: 'h', fileContainingSymbol: symbol });
      assert.deepEqual(own(question), answer(question));
    });

  it('lists the services', () => {
    const question = ask({ listServices: '*' });
    const names = (of: Response) => of.listServicesResponse!.service.map(({ name }) => name).sort();
    assert.deepEqual(names(own(question)), names(answer(question)));
    assert.deepEqual(names(own(question)), ['grpc.health.v1.Health', 'inference.GRPCInferenceService']);
  });

  it('gives each file by the name that it has in an answer', () => {
    for (const symbol of ['grpc.health.v1.Health', 'inference.GRPCInferenceService']) {
      const [file] = own(ask({ fileContainingSymbol: symbol })).fileDescriptorResponse!.fileDescriptorProto;
      // A name is field 1, and comes first.
      const bytes = Buffer.from(file!, 'base64');
      const question = ask({ fileByFilename: bytes.subarray(2, 2 + bytes[1]!).toString() });
      assert.deepEqual(own(question).fileDescriptorResponse?.fileDescriptorProto, [file]);
      assert.deepEqual(own(question), answer(question));
    }
  });

  it('refuses what it does not know as the library does', () => {
    const questions = [
      { fileByFilename: 'none.proto' },
      { allExtensionNumbersOfType: 'inference.ModelInferRequest' },
    ];
    for (const question of questions) assert.deepEqual(own(ask(question)), answer(ask(question)));
    const extension = { containingType: 'inference.ModelInferRequest', extensionNumber: 1 };
    const { errorCode } = own(ask({ fileContainingExtension: extension })).errorResponse!;
    assert.equal(errorCode, answer(ask({ fileContainingExtension: extension })).errorResponse!.errorCode);
    assert.equal(own(ask({})).errorResponse?.errorCode, answer(ask({})).errorResponse?.errorCode);
  });

  it('takes no bytes that are no question', () =>
    assert.throws(() => answerTo(Buffer.from([0x22, 0x05, 0x61])), WireError));
});
