/** A real S3 server for tests: deps/s3. */
import {
    AbortMultipartUploadCommand,
    CreateBucketCommand,
    DeleteObjectCommand,
    ListMultipartUploadsCommand,
    ListObjectsV2Command,
    S3Client,
} from '@aws-sdk/client-s3';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { silenceSdkAdvice } from '../../lib/config/environment';
import type { S3Config } from '../../lib/config/types';
import { skip } from './skip';

const DEPS = resolve(__dirname, '../../deps/s3');

/** `start` says so if a program is missing. */
const NOT_INSTALLED = 127;

/** How long a start may take, in ms: most of it is waiting for one daemon after the other. */
const START_WITHIN = 60_000;

const REGION = 'us-east-1';

export interface S3Credentials {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
}

export class RadosGateway {
    /** Of Amazon's own, to look at what the driver does with the bucket. */
    readonly client: S3Client;

    private constructor(
        private readonly folder: string,
        readonly url: string,
        /** There when it starts, and empty. */
        readonly bucket: string,
        readonly credentials: S3Credentials,
    ) {
        silenceSdkAdvice();
        this.client = new S3Client({
            endpoint: url,
            region: REGION,
            forcePathStyle: true,
            credentials,
            requestChecksumCalculation: 'WHEN_REQUIRED',
        });
    }

    /** Starts one, which takes some seconds; skips the test or suite of `context` where it cannot be started. */
    static async start(context: Mocha.Context): Promise<RadosGateway> {
        context.timeout(START_WITHIN);
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-s3-'));
        // Its daemons work in it as another user.
        await chmod(folder, 0o755);
        const { status, stdout, stderr } = spawnSync(join(DEPS, 'start'), [folder], { encoding: 'utf8' });
        if (status !== 0) {
            await rm(folder, { recursive: true });
            if (status === NOT_INSTALLED) {
                skip(context, stderr.trim());
            }
            throw new Error(`deps/s3/start ended with ${String(status)}: ${stderr}`);
        }
        const [url = '', bucket = '', accessKeyId = '', secretAccessKey = ''] = stdout.trim().split('\n');
        return new RadosGateway(folder, url, bucket, { accessKeyId, secretAccessKey });
    }

    /** The block `s3` of a server that keeps its files there. */
    get config(): S3Config {
        return {
            bucket: this.bucket,
            region: REGION,
            endpoint: this.url,
            forcePathStyle: true,
            partSize: 8 * 1024 * 1024,
            connectTimeout: 5000,
            idleTimeout: 20_000,
            ...this.credentials,
        };
    }

    async makeBucket(name: string): Promise<void> {
        await this.client.send(new CreateBucketCommand({ Bucket: name }));
    }

    /** Keys of all that is in the bucket, uploads included that were begun and not finished. */
    async contents(bucket = this.bucket): Promise<string[]> {
        const { Contents = [] } = await this.client.send(new ListObjectsV2Command({ Bucket: bucket }));
        const { Uploads = [] } = await this.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
        return [
            ...Contents.map(({ Key }) => Key ?? ''),
            ...Uploads.map(({ Key }) => `${Key ?? ''} (unfinished)`),
        ].sort();
    }

    /** Removes all that is in the bucket. */
    async empty(): Promise<void> {
        const Bucket = this.bucket;
        const { Contents = [] } = await this.client.send(new ListObjectsV2Command({ Bucket }));
        const { Uploads = [] } = await this.client.send(new ListMultipartUploadsCommand({ Bucket }));
        await Promise.all([
            ...Contents.map(({ Key }) => this.client.send(new DeleteObjectCommand({ Bucket, Key }))),
            ...Uploads.map(({ Key, UploadId }) =>
                this.client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })),
            ),
        ]);
    }

    /** Ends and removes it. */
    async stop(): Promise<void> {
        this.client.destroy();
        const { status, stderr } = spawnSync(join(DEPS, 'stop'), [this.folder], { encoding: 'utf8' });
        if (status !== 0) {
            throw new Error(`deps/s3/stop ended with ${String(status)}: ${stderr}`);
        }
        await rm(this.folder, { recursive: true });
    }
}
