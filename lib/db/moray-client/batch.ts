/** Several changes that happen together or not at all (moray.md §2.7). */
import { MorayError } from './errors';
import { deleteMany, updateObjects } from './find';
import type { Objects } from './objects';
import type { FindOptions, Value, WriteOptions } from './types';

export type BatchRequest =
    | {
          readonly operation?: 'put';
          readonly bucket: string;
          readonly key: string;
          readonly value: Value;
          readonly options?: WriteOptions;
      }
    | {
          readonly operation: 'delete';
          readonly bucket: string;
          readonly key: string;
          readonly options?: WriteOptions;
      }
    | {
          readonly operation: 'update';
          readonly bucket: string;
          readonly fields: Value;
          readonly filter: string;
          readonly options?: FindOptions;
      }
    | {
          readonly operation: 'deleteMany';
          readonly bucket: string;
          readonly filter: string;
          readonly options?: FindOptions;
      };

/** What came of one request of a batch. */
export interface BatchResult {
    readonly bucket: string;
    readonly key?: string;
    readonly filter?: string;
    /** Objects that were updated or deleted by a filter. */
    readonly count?: number;
    /** Of what was written. */
    readonly etag?: string;
}

/** Runs one request. @throws MorayError InvocationError and those of the operation */
export async function runRequest(objects: Objects, request: BatchRequest, now: number): Promise<BatchResult> {
    const { bucket } = request;
    switch (request.operation ?? 'put') {
        case 'put': {
            const { key, value, options } = request as Extract<BatchRequest, { readonly value: Value }>;
            const { etag } = await objects.put(bucket, key, value, options);
            return { bucket, key, etag };
        }
        case 'delete': {
            const { key, options } = request as Extract<BatchRequest, { readonly operation: 'delete' }>;
            await objects.delete(bucket, key, options);
            return { bucket, key };
        }
        case 'update': {
            const { fields, filter, options } = request as Extract<
                BatchRequest,
                { readonly operation: 'update' }
            >;
            const known = await objects.bucket(bucket);
            return {
                bucket,
                filter,
                ...(await updateObjects(objects.session, known, fields, filter, { ...options, now })),
            };
        }
        case 'deleteMany': {
            const { filter, options = {} } = request as Extract<
                BatchRequest,
                { readonly operation: 'deleteMany' }
            >;
            const known = await objects.bucket(bucket);
            return { bucket, filter, ...(await deleteMany(objects.session, known, filter, options)) };
        }
        default:
            throw new MorayError(
                'InvocationError',
                `A batch has no operation "${String(request.operation)}"`,
            );
    }
}
