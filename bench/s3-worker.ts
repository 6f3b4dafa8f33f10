/** A process that moves bytes to and from S3: by the storage driver, or by the SDK alone as its documentation says. */
import { DeleteObjectCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import Logger from 'bunyan';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { silenceSdkAdvice } from '../lib/config/environment';
import type { S3Config } from '../lib/config/types';
import type { StorageDriver } from '../lib/storage/driver';
import { createS3Storage } from '../lib/storage/s3';
import { answerCalls } from './helper';

export interface S3Work {
    readonly config: S3Config;
    readonly by: 'driver' | 'sdk';
    readonly what: 'upload' | 'download' | 'delete';
    /** Objects that are moved at the same time, all of one size. */
    readonly keys: readonly string[];
    readonly bytes: number;
}

/** As much as a socket gives at once. */
const PIECE = 64 * 1024;
const piece = randomBytes(PIECE);

async function* source(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0; left -= PIECE) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(left, PIECE));
        piece.copy(chunk);
        yield chunk;
    }
}

async function count(body: AsyncIterable<Uint8Array>, bytes: number): Promise<void> {
    let size = 0;
    for await (const chunk of body) {
        size += chunk.length;
    }
    if (size !== bytes) {
        throw new Error(`${size} bytes came instead of ${bytes}.`);
    }
}

let storage: StorageDriver | undefined;
let client: S3Client | undefined;

async function byDriver({ config, what, bytes }: S3Work, key: string): Promise<void> {
    const log = Logger.createLogger({ name: 'bench', level: 'fatal' });
    storage ??= createS3Storage({ config, maxSockets: 100, log });
    if (what === 'upload') {
        await (await storage.stage(key, source(bytes))).commit();
    } else {
        const reader = await storage.read(key);
        if (!reader) {
            throw new Error(`There is no ${key}.`);
        }
        await count(reader.body, bytes);
    }
}

async function bySdk({ config, what, bytes }: S3Work, Key: string): Promise<void> {
    const { endpoint = '', region, accessKeyId = '', secretAccessKey = '', bucket: Bucket } = config;
    client ??= new S3Client({
        endpoint,
        region,
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey },
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
    });
    if (what === 'delete') {
        await client.send(new DeleteObjectCommand({ Bucket, Key }));
    } else if (what === 'upload') {
        const Body = Readable.from(source(bytes), { objectMode: false });
        await new Upload({
            client,
            params: { Bucket, Key, Body },
            partSize: config.partSize,
            queueSize: 3,
        }).done();
    } else {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
        await count(Body as Readable, bytes);
    }
}

silenceSdkAdvice();
answerCalls(async (work: S3Work) => {
    const one = work.by === 'driver' ? byDriver : bySdk;
    await Promise.all(work.keys.map((key) => one(work, key)));
});
