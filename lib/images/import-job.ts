/** The job that imports an image with its origins from another repository (imports.md §4.1). */
import type Logger from 'bunyan';
import type { Clock } from '../clock';
import type { Config } from '../config/types';
import { DependencyConflict, EtagConflict, ImageNotFound } from '../db/driver';
import { ApiError } from '../errors';
import { RemoteFailure, type RemoteContext } from '../imports/driver';
import type { JobContext, JobDefinition, JobStep } from '../jobs/driver';
import { activate } from './activation';
import { changeImage, type Subject } from './change';
import type { Image } from './image';
import type { Images } from './images';
import type { Importer } from './importer';
import { existsAlready, originNotActive } from './refusals';
import { fetchFiles, fetchIcon } from './remote-objects';
import type { RemoteImage } from './remote-source';
import { chooseStorage } from './storage-choice';

export const IMPORT_REMOTE_TASK = 'import-remote-image';

/** What the job is told. */
export interface ImportJobParams {
    image_uuid: string;
    /** URL of the repository. */
    source: string;
    /** Images to import before, base first. */
    origins?: string[];
    skip_owner_check: boolean;
    channel?: string;
    req_id: string;
    [key: string]: unknown;
}

interface Parts {
    config: Config;
    images: Images;
    importer: Importer;
    clock: Clock;
    log: Logger;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Files may take as long as they need; one that does not move at all is given up much earlier. */
const FILES_TIMEOUT = 24 * HOUR;

/** How often the deletion of an image that others are changing is tried. */
const DELETE_ATTEMPTS = 10;

/** One import by one attempt of one job. */
class Attempt {
    readonly params: ImportJobParams;

    constructor(
        private readonly parts: Parts,
        private readonly job: JobContext,
    ) {
        this.params = job.params as ImportJobParams;
    }

    /** The image, if this job made it. @throws ApiError if somebody else did */
    async own(uuid: string): Promise<Image | undefined> {
        const image = await this.parts.images.get(uuid);
        if (image && image.raw.import_job !== this.job.uuid) {
            throw existsAlready(uuid);
        }
        return image;
    }

    async create(uuid: string): Promise<void> {
        if (await this.own(uuid)) {
            return;
        }
        const { channel, skip_owner_check: skipOwnerCheck } = this.params;
        await this.parts.importer.fromSource(this.#remote(uuid), { channel, skipOwnerCheck }, this.job.uuid);
    }

    async addFiles(uuid: string): Promise<void> {
        const image = await this.#made(uuid);
        if (image.raw.files?.length) {
            return;
        }
        try {
            await fetchFiles(this.parts, this.#subject(uuid), {
                remote: this.#remote(uuid),
                storage: chooseStorage(this.parts.config, image.raw),
                progress: (done, total) => this.job.progress(done, total),
            });
        } catch (err) {
            // Somebody gave it a file and activated it meanwhile: nothing to do, and nothing to be taken back.
            if (!(err instanceof ApiError && err.code === 'ImageAlreadyActivated')) {
                throw err;
            }
            this.job.log.info(
                { image_uuid: uuid },
                'somebody else completed an image that is being imported',
            );
        }
    }

    /** Gives whether the image has an icon. One that the source cannot give any more is done without. */
    async addIcon(uuid: string): Promise<boolean> {
        const image = await this.#made(uuid);
        const remote = this.#remote(uuid);
        if (image.raw.icon) {
            return true;
        }
        if ((await remote.manifest()).icon !== true) {
            return false;
        }
        try {
            await fetchIcon(this.parts, this.#subject(uuid), {
                remote,
                storage: chooseStorage(this.parts.config, image.raw),
            });
            return true;
        } catch (err) {
            if (err instanceof ApiError && err.cause instanceof RemoteFailure && err.cause.status === 404) {
                this.job.log.warn({ err, image_uuid: uuid }, 'the source has lost the icon of an image');
                return false;
            }
            throw err;
        }
    }

    async activate(uuid: string): Promise<void> {
        const { images, clock } = this.parts;
        await changeImage(images, this.#subject(uuid), async (current) =>
            current.activated ? current : images.save(current, activate(current, clock.now())),
        );
    }

    /** Imports the origins that are not here, base first. */
    async importOrigins(): Promise<void> {
        for (const uuid of this.params.origins ?? []) {
            await this.#importOrigin(uuid);
        }
    }

    /** Imports an origin, unless it is here: by an earlier attempt, or by somebody else who is done with it. */
    async #importOrigin(uuid: string): Promise<void> {
        const existing = await this.parts.images.get(uuid);
        if (existing?.activated) {
            return;
        }
        if (existing && existing.raw.import_job !== this.job.uuid) {
            throw originNotActive(uuid);
        }
        await this.create(uuid);
        await this.addFiles(uuid);
        await this.addIcon(uuid);
        await this.activate(uuid);
    }

    /** Deletes an origin that this job made, unless others are built on it by now. */
    async takeBackOrigin(uuid: string): Promise<boolean> {
        return this.#takeBack(uuid, () => true);
    }

    /** Deletes the image itself, unless somebody has activated it: it is complete, and theirs, then. */
    async takeBackImage(uuid: string): Promise<boolean> {
        return this.#takeBack(uuid, (image) => !image.activated);
    }

    async #takeBack(uuid: string, mayGo: (image: Image) => boolean): Promise<boolean> {
        const { images } = this.parts;
        for (let attempt = 1; ; attempt++) {
            const image = await images.get(uuid);
            if (image?.raw.import_job !== this.job.uuid || !mayGo(image)) {
                return false;
            }
            try {
                await images.remove(image, undefined);
                return true;
            } catch (err) {
                if (err instanceof DependencyConflict) {
                    return false;
                }
                if (
                    !(err instanceof EtagConflict || err instanceof ImageNotFound) ||
                    attempt === DELETE_ATTEMPTS
                ) {
                    throw err;
                }
            }
        }
    }

    #remote(uuid: string): RemoteImage {
        const context: RemoteContext = { requestId: this.params.req_id, signal: this.job.signal };
        return this.parts.importer.remote(this.params.source, uuid, context);
    }

    async #made(uuid: string): Promise<Image> {
        const image = await this.own(uuid);
        if (!image) {
            throw new ApiError('ResourceNotFound', `Image ${uuid} was deleted while it was being imported.`);
        }
        return image;
    }

    #subject(uuid: string): Subject {
        return { uuid, reload: () => this.#made(uuid) };
    }
}

/**
 * The job as this server runs it. Each step finds out how far an earlier attempt came; what is taken back is only what
 * the job itself made.
 */
export function importRemoteJob(parts: Parts): JobDefinition {
    const step = (
        name: string,
        timeout: number,
        run: (attempt: Attempt, params: ImportJobParams) => Promise<string>,
    ): JobStep => ({
        name,
        timeout,
        run: (job) => {
            const attempt = new Attempt(parts, job);
            return run(attempt, attempt.params);
        },
    });
    const takeBack = [
        step('delete_image', MINUTE, async (attempt, { image_uuid: uuid }) =>
            (await attempt.takeBackImage(uuid))
                ? `Image ${uuid} deleted`
                : `Image ${uuid} was not this job’s to be deleted`,
        ),
        step('origin_delete_images', MINUTE, async (attempt, { origins = [] }) => {
            const deleted: string[] = [];
            for (const uuid of origins.toReversed()) {
                if (await attempt.takeBackOrigin(uuid)) {
                    deleted.push(uuid);
                }
            }
            return deleted.length === 0
                ? 'No origins to be deleted'
                : `Origins deleted: ${deleted.join(', ')}`;
        }),
    ];
    return {
        task: IMPORT_REMOTE_TASK,
        name: 'import-remote-image-8.0.0',
        chain: [
            step('origin_import_images', FILES_TIMEOUT, async (attempt, { origins = [] }) => {
                await attempt.importOrigins();
                return origins.length === 0 ? 'No origins to import' : 'Origin images have been imported';
            }),
            step('import_image', FILES_TIMEOUT, async (attempt, { image_uuid: uuid }) => {
                // Until an image is built on them, whoever made or may delete them can take them away again.
                await attempt.importOrigins();
                await attempt.create(uuid);
                return `Image ${uuid} created`;
            }),
            step('add_image_file', FILES_TIMEOUT, async (attempt, { image_uuid: uuid }) => {
                await attempt.addFiles(uuid);
                return `Image ${uuid} file added`;
            }),
            step('add_image_icon', 10 * MINUTE, async (attempt, { image_uuid: uuid }) =>
                (await attempt.addIcon(uuid)) ? `Image ${uuid} icon added` : `Image ${uuid} has no icon`,
            ),
            step('activate_image', MINUTE, async (attempt, { image_uuid: uuid }) => {
                await attempt.activate(uuid);
                return `Image ${uuid} activated`;
            }),
        ],
        onerror: takeBack,
        oncancel: takeBack,
        isPermanent,
    };
}

/**
 * Codes below 500 that another attempt may not meet: bytes that were damaged on the way, an origin that is being made,
 * one that was taken away and is imported again.
 */
const PASSING: readonly string[] = ['Download', 'OriginIsNotActive', 'OriginDoesNotExist'];

/** Answers of a source that another attempt may not get: timeouts, too many requests. */
const PASSING_STATUSES: readonly number[] = [408, 429];

function isPermanent(err: unknown): boolean {
    if (!(err instanceof ApiError)) {
        return false;
    }
    if (err.cause instanceof RemoteFailure) {
        const { status = 503 } = err.cause;
        return status >= 300 && status < 500 && !PASSING_STATUSES.includes(status);
    }
    // The source did not fail: it gave a manifest or an icon that is no use.
    if (err.code === 'RemoteSourceError') {
        return true;
    }
    return err.status < 500 && !PASSING.includes(err.code);
}
