/** CloneImage: an account's own copy of an image that is shared with it (endpoints.md §3, imports.md §9). */
import { ApiError, validationFailed } from '../errors';
import { UNSET_OWNER_UUID, type RawImage } from '../manifest';
import { computeState } from './access';
import type { Image } from './image';
import type { CopiedImage, Images } from './images';
import { noOrigin, originNotActive } from './refusals';

/** Images that one request may copy. */
const MOST_COPIES = 100;

export interface CloneOptions {
    /** The account that gets the clone: a uuid. */
    account: string;
    /** The account of the operator. Its images, and those without an owner, are there for everybody: they stay. */
    adminUuid: string | undefined;
    /** Throws what forbids a copy of an image that others own, beyond what is a fault of the image. */
    judge: (image: Image) => void;
    /** Uuids for the copies. */
    uuid: () => string;
    /** ms since the epoch. */
    now: number;
}

/** @throws ApiError ValidationFailed, ImageNotShared, NotImplemented */
function assertClonable({ uuid, activated, raw }: Image, account: string): void {
    if (!activated) {
        throw validationFailed(`Image ${uuid} cannot be cloned: it is not activated.`, 'active');
    }
    if (raw.acl?.includes(account) !== true) {
        throw new ApiError('ImageNotShared', `Image ${uuid} is not shared with account ${account}.`);
    }
    assertCopyable(uuid, raw);
}

function assertCopyable(uuid: string, { type, files = [] }: RawImage): void {
    if (type === 'docker') {
        throw validationFailed(`Image ${uuid} cannot be cloned: it is of type docker.`, 'type');
    }
    if (files.length > 1) {
        throw new ApiError('NotImplemented', `Image ${uuid} cannot be cloned: it has several files.`);
    }
}

/** Whether the image is there for everybody. */
function isOperators({ owner }: RawImage, adminUuid: string | undefined): boolean {
    return owner === UNSET_OWNER_UUID || (adminUuid !== undefined && owner === adminUuid);
}

/**
 * The images to copy, the one asked for first and then its origins, and the origin that stays.
 * @throws ApiError OriginDoesNotExist, OriginIsNotActive, InternalError if they are too many
 */
async function originChain(
    images: Images,
    source: Image,
    { adminUuid, judge }: Pick<CloneOptions, 'adminUuid' | 'judge'>,
): Promise<{ chain: readonly Image[]; kept: string | undefined }> {
    const chain = [source];
    let { origin } = source.raw;
    while (origin) {
        const image = await images.get(origin);
        if (image && isOperators(image.raw, adminUuid)) {
            return { chain, kept: origin };
        }
        if (!image?.valid) {
            throw noOrigin(origin);
        }
        if (chain.length === MOST_COPIES) {
            throw new ApiError(
                'InternalError',
                `Image ${source.uuid} cannot be cloned: its chain of origins is longer than ${MOST_COPIES} images.`,
            );
        }
        if (!image.activated) {
            throw originNotActive(origin);
        }
        assertCopyable(origin, image.raw);
        judge(image);
        chain.push(image);
        origin = image.raw.origin;
    }
    return { chain, kept: undefined };
}

/** The record of a copy. An icon, a urn (which is unique), an expiry and the job of an import are not its own. */
function copyOf(source: RawImage, fields: Partial<RawImage>): RawImage {
    const raw: RawImage = { ...source, acl: [], ...fields };
    delete raw.icon;
    delete raw.urn;
    delete raw.expires_at;
    delete raw.import_job;
    return { ...raw, state: computeState(raw) };
}

/**
 * Clones an image for an account, together with those of its origins that belong to other accounts: these copies are
 * disabled, they are there for the clone only. Nobody sees some of the copies without the others, and no failure
 * leaves any.
 *
 * @throws ApiError; EtagConflict, DependencyConflict if what is copied was changed meanwhile
 */
export async function cloneImage(
    images: Images,
    source: Image,
    { account, uuid, now, ...options }: CloneOptions,
): Promise<Image> {
    assertClonable(source, account);
    const { chain, kept } = await originChain(images, source, options);
    const published_at = new Date(now).toISOString();
    const copies: CopiedImage[] = [];
    let origin = kept;
    for (const from of chain.toReversed()) {
        const raw = copyOf(from.raw, {
            uuid: uuid(),
            owner: account,
            published_at,
            ...(origin !== undefined && { origin }),
            ...(from !== source && { disabled: true }),
        });
        copies.push({ from, raw });
        origin = raw.uuid;
    }
    const clone = (await images.createCopies(copies, kept === undefined ? [] : [kept])).at(-1);
    if (!clone) {
        throw new TypeError('No copy was made of the image to clone.');
    }
    return clone;
}
