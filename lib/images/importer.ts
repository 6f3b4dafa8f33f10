import type Logger from 'bunyan';
import { coerce, lt } from 'semver';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import { DependencyConflict, EtagConflict, ImageNotFound } from '../db/driver';
import type { AccountDirectory } from '../dc/driver';
import { invalidParameter } from '../errors';
import type { RemoteContext, Remotes } from '../imports/driver';
import type { RawImage } from '../manifest';
import { buildImage, importOwner, readOrigin, requireBody } from './create';
import type { Image } from './image';
import type { Images } from './images';
import { isObject, show, type JsonObject } from './json';
import { assertOwnerExists } from './owner';
import { existsAlready, noOrigin } from './refusals';
import { RemoteImage } from './remote-source';
import { upgradeManifest } from './upgrade';

export interface ImporterParts {
    config: Config;
    images: Images;
    remotes: Remotes;
    /** Undefined outside a datacenter. */
    accounts: AccountDirectory | undefined;
    clock: Clock;
    log: Logger;
}

/** How an import is to be made. */
export interface ImportOptions {
    /** The channel to put the image in; undefined on a server without channels. */
    channel: string | undefined;
    skipOwnerCheck: boolean;
}

/** imgadm before this version could not cope with `min_platform` of these images (IMGAPI-651). */
const IMGADM_FIXED = '3.7.4';

/** Images that were made elsewhere: their manifests and files, given by a client or fetched (imports.md §2, §3). */
export class Importer {
    constructor(private readonly parts: ImporterParts) {}

    /** An image in the repository at a URL. */
    remote(source: string, uuid: string, context: RemoteContext): RemoteImage {
        return new RemoteImage(this.parts.remotes, source, uuid, context);
    }

    /** @throws ApiError ImageUuidAlreadyExists if there is an image with this uuid, in any state */
    async refuseExisting(uuid: string): Promise<void> {
        if (await this.parts.images.has(uuid)) {
            throw existsAlready(uuid);
        }
    }

    /**
     * Adds an image from the manifest in a request, or completes a placeholder with it (imports.md §2).
     *
     * @param request `options` are read once the uuid is judged; `mayReplace` throws what forbids to complete a
     *     placeholder; `userAgent` is the client's
     * @throws ApiError InvalidParameter, ValidationFailed, ImageUuidAlreadyExists, OriginDoesNotExist, OwnerDoesNotExist,
     *     ServiceUnavailableError
     */
    async fromManifest(
        body: unknown,
        uuid: string,
        request: {
            options: () => ImportOptions;
            mayReplace: (placeholder: Image) => void;
            userAgent: string | undefined;
        },
    ): Promise<Image> {
        const { images } = this.parts;
        const given = requireBody(body);
        if (given.uuid !== uuid) {
            throw invalidParameter(
                given.uuid === undefined
                    ? `The manifest has no "uuid"; the URL says ${uuid}.`
                    : `The manifest has the uuid ${show(given.uuid)}, but the URL says ${uuid}.`,
                'uuid',
            );
        }
        const options = request.options();
        const manifest = upgradeManifest(given);
        await this.#placeholder(uuid, request.mayReplace);
        const origin = readOrigin(manifest);
        if (origin !== undefined && !(await images.has(origin))) {
            throw noOrigin(origin);
        }
        const owned = await this.#withOwner(manifest, options);
        const raw = buildImage(await this.#withoutNewPlatform(owned, request.userAgent), {
            kind: 'import',
            ...channelsOf(options),
        });
        return images.turns.take(uuid, () => this.#addOrComplete(raw, request.mayReplace));
    }

    /**
     * Adds an image with the manifest it has at a source (imports.md §3). Its origin need not be here, unless a job
     * that brings origins along does it.
     *
     * @param job uuid of the one that does it, if one does: asked by it again, it gives the image as it is
     * @throws ApiError RemoteSourceError, ImageUuidAlreadyExists, OriginDoesNotExist, OwnerDoesNotExist,
     *     ValidationFailed, ServiceUnavailableError
     */
    async fromSource(remote: RemoteImage, options: ImportOptions, job?: string): Promise<Image> {
        const { images, log } = this.parts;
        const made = job === undefined ? undefined : await this.#madeBy(job, remote.uuid);
        if (made) {
            return made;
        }
        const given = await remote.manifest();
        await this.refuseExisting(remote.uuid);
        const manifest = await this.#withOwner(given, options);
        const raw = buildImage(manifest, {
            kind: 'import',
            ...channelsOf(options),
            onUnknown: (fields) => {
                if (fields.length > 0) {
                    log.info(
                        { image_uuid: remote.uuid, fields },
                        'left out fields that only the source knows',
                    );
                }
            },
        });
        if (job === undefined) {
            return images.create(raw, { anyOrigin: true });
        }
        try {
            return await images.create({ ...raw, import_job: job });
        } catch (err) {
            throw err instanceof DependencyConflict ? noOrigin(err.uuid) : err;
        }
    }

    async #madeBy(job: string, uuid: string): Promise<Image | undefined> {
        const image = await this.parts.images.get(uuid);
        return image?.raw.import_job === job ? image : undefined;
    }

    /** The placeholder with this uuid, if there is one. @throws ApiError ImageUuidAlreadyExists about another image */
    async #placeholder(uuid: string, judge: (placeholder: Image) => void): Promise<Image | undefined> {
        const existing = await this.parts.images.get(uuid);
        if (existing && existing.raw.state !== 'creating') {
            throw existsAlready(uuid);
        }
        if (existing) {
            judge(existing);
        }
        return existing;
    }

    async #addOrComplete(raw: RawImage, mayReplace: (placeholder: Image) => void): Promise<Image> {
        const { images } = this.parts;
        for (;;) {
            const placeholder = await this.#placeholder(raw.uuid, mayReplace);
            try {
                if (!placeholder) {
                    return await images.create(raw);
                }
                // Until it is activated the image may be given up, should whoever makes it not come to an end.
                const { expires_at } = placeholder.raw;
                const completed = expires_at === undefined ? raw : { ...raw, expires_at };
                return await images.save(placeholder, completed, {
                    drop: images.objects.referredBy(placeholder.raw, { files: true, icon: true }),
                    ...(raw.origin && { requires: [raw.origin] }),
                });
            } catch (err) {
                if (err instanceof DependencyConflict) {
                    throw noOrigin(err.uuid);
                }
                // Another process had it completed, changed or purged meanwhile: judge it again.
                if (!(err instanceof EtagConflict || err instanceof ImageNotFound)) {
                    throw err;
                }
            }
        }
    }

    async #withOwner(manifest: JsonObject, { skipOwnerCheck }: ImportOptions): Promise<JsonObject> {
        const { config } = this.parts;
        const { owner, mustExist } = importOwner(manifest, config);
        if (mustExist && !skipOwnerCheck) {
            await assertOwnerExists(this.parts, owner);
        }
        return { ...manifest, owner };
    }

    /** For an old imgadm, an LX image has the platform requirement of its origin, or none. */
    async #withoutNewPlatform(manifest: JsonObject, userAgent: string | undefined): Promise<JsonObject> {
        const { type, requirements, origin } = manifest;
        if (
            type !== 'lx-dataset' ||
            !isObject(requirements) ||
            requirements.min_platform === undefined ||
            !isOldImgadm(userAgent)
        ) {
            return manifest;
        }
        const others = Object.entries(requirements).filter(([key]) => key !== 'min_platform');
        const image = typeof origin === 'string' ? await this.parts.images.get(origin) : undefined;
        const inherited = image?.raw.requirements?.min_platform;
        return {
            ...manifest,
            requirements: {
                ...Object.fromEntries(others),
                ...(inherited !== undefined && { min_platform: inherited }),
            },
        };
    }
}

function isOldImgadm(userAgent = ''): boolean {
    const version = coerce(/^imgadm\/([\d.]+) /.exec(userAgent)?.[1]);
    return version !== null && lt(version, IMGADM_FIXED);
}

function channelsOf({ channel }: ImportOptions): { channels?: string[] } {
    return channel === undefined ? {} : { channels: [channel] };
}
