/** Messages of vLLM, written and read by the protobuf library from proto/vllm-engine.proto: a second opinion on the sidecar's own readers. */
import { type GenerateRequest, type GenerateResponse, vllmService } from '../../../proto/vllm-service.js';

const { Generate, Abort } = vllmService();

export const encodeRequest = (request: GenerateRequest): Buffer => Generate.requestSerialize(request);
export const decodeRequest = (bytes: Buffer): GenerateRequest => Generate.requestDeserialize(bytes);
export const encodeResponse = (response: GenerateResponse): Buffer => Generate.responseSerialize(response);
export const decodeResponse = (bytes: Buffer): GenerateResponse => Generate.responseDeserialize(bytes);
export const encodeAbort = (ids: readonly string[]): Buffer => Abort.requestSerialize({ request_ids: ids });
export const decodeAbort = (bytes: Buffer): readonly string[] => Abort.requestDeserialize(bytes).request_ids;
