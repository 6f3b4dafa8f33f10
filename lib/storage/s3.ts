/** Objects in a bucket of S3 (manta.md §8). */
import {
    DeleteObjectCommand,
    GetObjectCommand,
    HeadObjectCommand,
    ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type Logger from 'bunyan';
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { keyRoot, s3Server } from '../config/s3';
import type { S3Config } from '../config/types';
import { ApiError } from '../errors';
import { faultPoint } from '../fault';
import type {
    ObjectInfo,
    ObjectReader,
    PresignOptions,
    ReadOptions,
    StagedObject,
    StageOptions,
    StorageCapabilities,
    StorageDriver,
    StorageExports,
} from './driver';
import { Intake } from './intake';
import { assertKey, assertPrefix, isKeySegment, NAME_WITH_ID, nameOf, unfinishedKey } from './key';
import { PartBuffers } from './part-buffers';
import { S3Body } from './s3-body';
import { copyObject, type CopySizes, type CopySource } from './s3-copy';
import { AccessDenied, isRefusal, S3Refusal } from './s3-errors';
import { S3Exports } from './s3-exports';
import { S3Service } from './s3-service';
import { abortUploadsOf, listUnfinished } from './s3-unfinished';
import { MD5_KEY, MOST_HASHED, S3Upload } from './s3-upload';

export interface S3StorageOptions {
    config: S3Config;
    /** Most connections at once, but for downloads, which each have one of their own. */
    maxSockets: number;
    log: Logger;
    /** Other pauses than the usual ones between the tries of what would cost much to begin again, in ms. */
    pauses?: readonly number[];
    /** Other sizes than the usual ones: above the first, objects are copied in parts of the second. */
    copy?: CopySizes;
    /** ms since the epoch; by default of the clock. */
    now?: () => number;
    /** Other pages of lists than those of 1,000. */
    page?: number;
}

/** Memory that all uploads together may have for sending ahead, beyond one part each, in bytes. */
const AHEAD = 64 * 1024 * 1024;

/** How long a failed upload waits for what it left to be removed, in ms. Then that is left to the sweep. */
const CLEANUP = 10_000;

/** How often a copy is begun again because its source was replaced meanwhile. */
const COPY_ATTEMPTS = 3;

/** What S3 says of an object. */
interface Described {
    ContentLength?: number | undefined;
    Size?: number | undefined;
    LastModified?: Date | undefined;
    ETag?: string | undefined;
}

function describe(key: string, { ContentLength, Size, LastModified, ETag }: Described): ObjectInfo {
    return {
        key,
        size: ContentLength ?? Size ?? 0,
        // Lists tell milliseconds, other answers do not.
        mtime: new Date(Math.floor((LastModified?.getTime() ?? 0) / 1000) * 1000),
        etag: ETag?.replaceAll('"', '') ?? '',
    };
}

function isKey(key: string): boolean {
    return key.split('/').every(isKeySegment);
}

class S3Storage implements StorageDriver {
    readonly type = 's3';
    readonly location: string;
    readonly capabilities: StorageCapabilities;
    readonly presign?: (key: string, options: PresignOptions) => Promise<string>;
    readonly exports?: StorageExports;
    readonly #options: S3StorageOptions;
    readonly #service: S3Service;
    readonly #buffers: PartBuffers;
    /** What the keys of all objects begin with in the bucket: nothing, or something that ends in `/`. */
    readonly #root: string;
    readonly #closing = new AbortController();

    constructor(options: S3StorageOptions) {
        const { config, maxSockets, log, pauses, copy: sizes, now = Date.now } = options;
        this.#options = options;
        this.#service = new S3Service(config, maxSockets, log, pauses);
        this.#buffers = new PartBuffers(config.partSize, AHEAD);
        this.#root = keyRoot(config.prefix);
        this.location = new URL(`${config.bucket}/${this.#root}`, `${s3Server(config)}/`).href;
        const presign = config.presignRedirect === true;
        const root = keyRoot(config.exportPrefix);
        // Manta cannot rename either: see `hidesStaged`.
        this.capabilities = { presign, export: root !== '', hidesStaged: false };
        if (presign) {
            this.presign = (key, about) => this.#presign(key, about);
        }
        if (root !== '') {
            const find = (key: string): Promise<CopySource | undefined> => this.#head(key);
            const objects = this.#root;
            this.exports = new S3Exports({ service: this.#service, root, objects, find, sizes, now });
        }
    }

    /** Does not wait for the server: what is wrong with it is in the log, and may pass. */
    async open(): Promise<void> {
        this.check().then(
            () => this.#options.log.info({ location: this.location }, 'S3: usable'),
            () => undefined,
        );
    }

    async close(): Promise<void> {
        this.#closing.abort(new Error('The storage was closed.'));
        this.#service.close();
    }

    async check(): Promise<void> {
        await this.#service.call(
            new ListObjectsV2Command({ Bucket: this.#service.bucket, Prefix: this.#root, MaxKeys: 1 }),
            { signal: this.#closing.signal },
        );
    }

    /**
     * S3 cannot rename: under a key with an id the object is stored as what it is to be. Under any other key it is stored
     * beside, and copied when it is committed.
     */
    async stage(
        key: string,
        source: AsyncIterable<Uint8Array>,
        options: StageOptions = {},
    ): Promise<StagedObject> {
        assertKey(key);
        const isNew = NAME_WITH_ID.test(nameOf(key));
        const place = isNew ? key : unfinishedKey(key, options.id ?? randomUUID());
        const size = await this.#receive(place, source, options);
        faultPoint('stage:written');
        return {
            size,
            commit: () => (isNew ? this.#confirm(key, size) : this.#replace(place, key)),
            discard: () => this.delete(place),
        };
    }

    async read(key: string, { start = 0, end, signal }: ReadOptions = {}): Promise<ObjectReader | undefined> {
        assertKey(key);
        const ranged = start > 0 || end !== undefined;
        try {
            const answer = await this.#service.open(
                new GetObjectCommand({
                    ...this.#object(key),
                    ...(ranged && { Range: `bytes=${start}-${end ?? ''}` }),
                }),
                { signal },
            );
            const size = sizeOf(answer);
            const length = (end ?? size - 1) + 1 - start;
            if (
                answer.ContentLength !== length ||
                (ranged && !answer.ContentRange?.startsWith(`bytes ${start}-`))
            ) {
                (answer.Body as Readable | undefined)?.destroy();
                throw outside(key, start, end, size);
            }
            const md5 = length === size && size <= MOST_HASHED ? answer.Metadata?.[MD5_KEY] : undefined;
            const body = new S3Body(
                this.#service,
                { key: this.#root + key, etag: answer.ETag, start, end: start + length, md5, signal },
                answer,
            );
            return { info: describe(key, { ...answer, ContentLength: size }), body };
        } catch (error) {
            if (isRefusal(error, 'NoSuchKey')) {
                return undefined;
            }
            throw isRefusal(error, 'InvalidRange') ? outside(key, start, end) : this.#failure(error);
        }
    }

    async stat(key: string): Promise<ObjectInfo | undefined> {
        assertKey(key);
        const head = await this.#head(this.#root + key);
        return head && describe(key, head.described);
    }

    async delete(key: string): Promise<void> {
        assertKey(key);
        await this.#remove(key);
        faultPoint('remove:unlinked');
    }

    async copy(from: string, to: string): Promise<ObjectInfo | undefined> {
        assertKey(from);
        assertKey(to);
        for (let attempt = 1; ; attempt++) {
            const source = await this.#head(this.#root + from);
            if (source === undefined || from === to) {
                return source && describe(from, source.described);
            }
            try {
                await this.#copy(source, to);
                faultPoint('copy:committed');
                return await this.#confirm(to, source.size);
            } catch (error) {
                // It was replaced, or it is gone.
                if (attempt >= COPY_ATTEMPTS || !(error instanceof S3Refusal)) {
                    throw this.#failure(error);
                }
            }
        }
    }

    async *list(prefix: string): AsyncGenerator<ObjectInfo, void, undefined> {
        assertPrefix(prefix);
        const { page } = this.#options;
        // First, so that one that is finished meanwhile is not missed.
        for await (const upload of listUnfinished(this.#service, this.#root + prefix, page)) {
            if (isKey(upload.key.slice(this.#root.length))) {
                const key = upload.shownAs.slice(this.#root.length);
                yield describe(key, { Size: 0, LastModified: upload.begun });
            }
        }
        let token: string | undefined;
        do {
            const answer = await this.#service.call(
                new ListObjectsV2Command({
                    Bucket: this.#service.bucket,
                    Prefix: this.#root + prefix,
                    ContinuationToken: token,
                    MaxKeys: page,
                }),
            );
            for (const object of answer.Contents ?? []) {
                const key = object.Key?.slice(this.#root.length) ?? '';
                if (isKey(key)) {
                    yield describe(key, object);
                }
            }
            token = answer.IsTruncated === true ? answer.NextContinuationToken : undefined;
        } while (token !== undefined);
    }

    /** Stores the bytes under a key that nobody else uses; gives how many they are. */
    async #receive(key: string, source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<number> {
        const intake = new Intake();
        const upload = new S3Upload(this.#service, this.#buffers, {
            key: this.#root + key,
            contentType: options.contentType,
            signal: options.signal,
            onFailure: intake.wake,
        });
        try {
            const { size } = await intake.run(source, upload, options);
            await upload.finish();
            options.signal?.throwIfAborted();
            return size;
        } catch (error) {
            await upload.stop();
            if (upload.hasBegun) {
                // The first failure is the one to tell. What it keeps from being removed here is left to the sweep.
                await this.#remove(key, AbortSignal.timeout(CLEANUP)).catch(() => undefined);
            }
            throw error instanceof S3Refusal ? this.#failure(error) : error;
        }
    }

    /** What is stored under the key, which must have this size. */
    async #confirm(key: string, size: number): Promise<ObjectInfo> {
        const info = await this.stat(key);
        if (info?.size !== size) {
            throw new ApiError(
                'StorageIsDown',
                info === undefined
                    ? 'An object that was stored is no longer there.'
                    : `An object that was stored has ${info.size} bytes instead of ${size}.`,
            );
        }
        faultPoint('stage:committed');
        return info;
    }

    /** Puts what was received beside an object in its place. */
    async #replace(place: string, key: string): Promise<ObjectInfo> {
        try {
            const info = await this.copy(place, key);
            if (info === undefined) {
                throw new ApiError('StorageIsDown', 'An object that was received is no longer there.');
            }
            return info;
        } finally {
            // What it was received as has no use any more, and does no harm.
            await this.delete(place).catch(() => undefined);
        }
    }

    async #copy(source: CopySource, to: string): Promise<void> {
        // A key with an id is new by that.
        const former = NAME_WITH_ID.test(nameOf(to)) ? undefined : await this.#head(this.#root + to);
        await copyObject(this.#service, source, this.#root + to, {
            former: former?.etag,
            ...this.#options.copy,
        });
    }

    /** What S3 says of the object with this key in the bucket; undefined if there is none. */
    async #head(key: string): Promise<(CopySource & { described: Described }) | undefined> {
        try {
            const command = new HeadObjectCommand({ Bucket: this.#service.bucket, Key: key });
            const described = await this.#service.call(command, { bodiless: true });
            const { ContentLength: size = 0, ETag: etag, ContentType: contentType } = described;
            return { key, size, etag, contentType, described };
        } catch (error) {
            if (!(error instanceof S3Refusal)) {
                throw error;
            }
            // It does not say why: it may be the bucket that is not there, or the user who is not known.
            await this.check();
            if (isRefusal(error, 'NotFound')) {
                return undefined;
            }
            throw this.#service.failure(new AccessDenied(error), HeadObjectCommand.name);
        }
    }

    async #remove(key: string, signal?: AbortSignal): Promise<void> {
        try {
            await this.#service.call(new DeleteObjectCommand(this.#object(key)), { signal });
        } catch (error) {
            if (!isRefusal(error, 'NoSuchKey')) {
                throw this.#failure(error);
            }
        }
        await abortUploadsOf(this.#service, this.#root + key, signal);
    }

    async #presign(key: string, { expiresIn, contentType }: PresignOptions): Promise<string> {
        assertKey(key);
        const { client } = this.#service;
        try {
            return await getSignedUrl(
                client,
                new GetObjectCommand({ ...this.#object(key), ResponseContentType: contentType }),
                // By the clock of S3, as answers told it: by one that is slow it would have expired already.
                { expiresIn, signingDate: new Date(Date.now() + client.config.systemClockOffset) },
            );
        } catch (error) {
            throw this.#service.failure(error, GetObjectCommand.name);
        }
    }

    /** The error to throw; a refusal that nobody expected is one of the storage. */
    #failure(error: unknown): unknown {
        return error instanceof S3Refusal
            ? new ApiError('StorageIsDown', 'What the object store had is gone, or was replaced.', {
                  cause: error,
              })
            : error;
    }

    #object(key: string): { Bucket: string; Key: string } {
        return { Bucket: this.#service.bucket, Key: this.#root + key };
    }
}

/** Size of the whole object that an answer has all or part of. */
function sizeOf({ ContentRange, ContentLength }: { ContentRange?: string; ContentLength?: number }): number {
    const [, whole] = /\/(\d+)$/.exec(ContentRange ?? '') ?? [];
    return whole === undefined ? (ContentLength ?? 0) : Number(whole);
}

function outside(key: string, start: number, end: number | undefined, size?: number): RangeError {
    const of = size === undefined ? '' : `the ${size} bytes of `;
    return new RangeError(`Bytes ${start} to ${end ?? 'the last'} do not lie within ${of}"${key}".`);
}

/** The storage of type `s3`. Several processes may use the same bucket, and others beside them with another prefix. */
export function createS3Storage(options: S3StorageOptions): StorageDriver {
    return new S3Storage(options);
}
