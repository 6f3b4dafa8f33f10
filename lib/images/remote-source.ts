/** Images in other repositories: what is read of them, and how their failures are told (imports.md §1). */
import { ApiError, invalidParameter } from '../errors';
import { OutboundRefused, RemoteFailure, type RemoteContext, type Remotes } from '../imports/driver';
import { COMPRESSIONS } from '../manifest';
import type { JsonObject } from './json';
import { isObject } from './json';
import { upgradeManifest } from './upgrade';

/** What a remote manifest says of one file. */
export interface RemoteFile {
    readonly sha1: string;
    readonly size: number;
    readonly compression: string;
    readonly dataset_guid?: string;
}

const SHA1 = /^[0-9a-f]{40}$/;

/** The failure of a call to a repository, as the client is told of it. */
export function sourceError(err: unknown, attempted: string): unknown {
    if (err instanceof OutboundRefused) {
        return refusedUrl(err, 'source');
    }
    return err instanceof RemoteFailure
        ? new ApiError('RemoteSourceError', `${attempted} Error from remote: ${err.message}`, { cause: err })
        : err;
}

/** The parameter names a place that this server does not connect to. */
export function refusedUrl(err: OutboundRefused, field: string): ApiError {
    return new ApiError('InvalidParameter', `Parameter "${field}" cannot be used: ${err.message}`, {
        errors: [{ field, code: 'NotAllowed' }],
        cause: err,
    });
}

/** @throws ApiError InvalidParameter unless it is an http or https URL */
export function requireSourceUrl(source: string): void {
    const url = URL.canParse(source) ? new URL(source) : undefined;
    if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
        throw invalidParameter(
            'Parameter "source" must be the URL of an image repository, such as "https://images.example.com".',
            'source',
        );
    }
}

/** One image in the repository at a URL. */
export class RemoteImage {
    constructor(
        private readonly remotes: Remotes,
        private readonly source: string,
        readonly uuid: string,
        readonly context: RemoteContext,
    ) {}

    /**
     * Its manifest, as version 2, checked for nothing but its uuid.
     *
     * @param noun what messages call the image
     * @param account for whom it is asked
     * @throws ApiError RemoteSourceError, InvalidParameter
     */
    async manifest(noun = 'image', account?: string): Promise<JsonObject> {
        try {
            const repository = this.remotes.repository(this.source);
            return upgradeManifest(await repository.getImage(this.uuid, this.context, account));
        } catch (err) {
            throw sourceError(err, `Unable to get manifest for ${noun} ${this.uuid}.`);
        }
    }

    /** The bytes of a file, to be read or ended by the signal. @throws ApiError RemoteSourceError, also while they are read */
    file(index: number, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
        const context = { ...this.context, signal };
        return this.#open(`Unable to get stream for image file ${this.uuid}.`, () =>
            this.remotes.repository(this.source).getFile(this.uuid, index, context),
        );
    }

    /** The bytes of the icon with their type; as {@link file}. */
    async icon(
        signal: AbortSignal,
    ): Promise<{ contentType: string | undefined; body: AsyncIterable<Buffer> }> {
        let contentType: string | undefined;
        const body = await this.#open(`Unable to get the icon of image ${this.uuid}.`, async () => {
            const context = { ...this.context, signal };
            const icon = await this.remotes.repository(this.source).getIcon(this.uuid, context);
            ({ contentType } = icon);
            return icon;
        });
        return { contentType, body };
    }

    async #open(
        attempted: string,
        open: () => Promise<{ body: AsyncIterable<Buffer> }>,
    ): Promise<AsyncIterable<Buffer>> {
        try {
            const { body } = await open();
            return telling(body, (err) => sourceError(err, attempted));
        } catch (err) {
            throw sourceError(err, attempted);
        }
    }
}

/** Passes bytes on, and their failure in another form. */
export async function* telling(
    body: AsyncIterable<Buffer>,
    told: (err: unknown) => unknown,
): AsyncGenerator<Buffer> {
    try {
        yield* body;
    } catch (err) {
        throw told(err);
    }
}

/**
 * The files a remote manifest lists, at least one.
 * @throws ApiError RemoteSourceError if there is none, or if what is said of one cannot be right
 */
export function remoteFiles(manifest: JsonObject, uuid: string): RemoteFile[] {
    const files: unknown[] = Array.isArray(manifest.files) ? manifest.files : [];
    if (files.length === 0) {
        throw new ApiError('RemoteSourceError', `Image ${uuid} has no file at the source.`);
    }
    return files.map((file, index) => {
        if (!isRemoteFile(file)) {
            throw new ApiError(
                'RemoteSourceError',
                `The manifest of image ${uuid} at the source does not describe its file ${index} well: ` +
                    'it needs sha1, size and compression.',
            );
        }
        const { sha1, size, compression, dataset_guid: guid } = file;
        return { sha1, size, compression, ...(guid !== undefined && { dataset_guid: guid }) };
    });
}

function isRemoteFile(file: unknown): file is RemoteFile {
    return (
        isObject(file) &&
        typeof file.sha1 === 'string' &&
        SHA1.test(file.sha1) &&
        Number.isSafeInteger(file.size) &&
        Number(file.size) >= 0 &&
        COMPRESSIONS.some((compression) => compression === file.compression) &&
        (file.dataset_guid === undefined || typeof file.dataset_guid === 'string')
    );
}
