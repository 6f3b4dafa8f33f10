/**
 * From the body of CreateImage, AdminImportImage and CreateImageFromVm to a raw record (manifest.md §6, endpoints.md
 * §3 CreateImage).
 *
 * Whether owner and origin exist can only be asked outside of here, and it is asked between two of the steps. So
 * CreateImage is: `prepareCreate`, then the owner's existence, then the origin's, then `buildImage`, then
 * `assertValidImage`. AdminImportImage is: `upgradeManifest`, `readOrigin`, the origin's existence, `importOwner`,
 * the owner's existence, `buildImage` with that owner, `assertValidImage`.
 */
import type { Mode } from '../config/types';
import { ApiError, invalidParameter, validationFailed, type FieldError } from '../errors';
import { isUuid, PLACEHOLDER_VALUE, UNSET_OWNER_UUID, type RawImage } from '../manifest';
import { isObject, show, toBoolean, toNumber, type JsonObject } from './json';
import { normalizeRaw } from './serialize';
import { searchTags } from './tags';
import { upgradeManifest } from './upgrade';

const CURRENT_VERSION = 2;
/** In ms. */
const DAY = 86_400_000;
const ZVOL_FIELDS = ['nic_driver', 'disk_driver', 'cpu_type', 'image_size'] as const;

/** Fields that a body may have but that the server sets itself. */
const DISREGARDED = ['files', 'state', 'icon', 'channels'] as const;

/** How an image comes to be. */
export type BuildOptions =
    | { kind: 'create'; uuid: string; channels?: string[] }
    /**
     * Keeps the uuid, date and urn that the image has elsewhere. `onUnknown` is told of fields that are not taken;
     * without it they are refused.
     */
    | { kind: 'import'; channels?: string[]; onUnknown?: (fields: string[]) => void }
    /** An image that is still being made; `expiresAt` (ISO) is when it may be given up. */
    | { kind: 'placeholder'; uuid: string; expiresAt: string; channels?: string[] };

export interface PreparedCreate {
    /** The body, with the owner and the manifest version filled in. */
    readonly manifest: JsonObject;
    /** A uuid, of an account that may not exist. */
    readonly owner: string;
    /** Any string that is not empty; where no image has it as its uuid, the answer is OriginDoesNotExist. */
    readonly origin: string | undefined;
}

/**
 * The checks of a CreateImage body that come before owner and origin are looked up.
 *
 * @param account the `account` parameter, a uuid; undefined for an operator
 * @throws ApiError ValidationFailed, InvalidParameter
 */
export function prepareCreate(body: unknown, { account }: { account?: string | undefined }): PreparedCreate {
    const given = requireBody(body);
    const asked = askedOwner(given, account);
    if (given.state !== undefined) {
        throw new ApiError(
            'ValidationFailed',
            'The image data is not valid: "state" follows from what is done.',
            {
                errors: [
                    {
                        field: 'state',
                        code: 'NotAllowed',
                        message: 'A new image is unactivated; leave out "state".',
                    },
                ],
            },
        );
    }
    const owner = requireOwner(asked);
    const { v = CURRENT_VERSION } = given;
    const manifest = { ...given, v, owner };
    return { manifest, owner, origin: readOrigin(manifest) };
}

/**
 * The owner that a new image is to have: the body's, which for a request of an account may only be that one, or the
 * account. Anything may stand there, or nothing.
 *
 * @throws ApiError InvalidParameter
 */
export function askedOwner({ owner }: JsonObject, account: string | undefined): unknown {
    const asked = owner === undefined ? account : owner;
    if (account !== undefined && asked !== account) {
        throw invalidParameter(
            `The owner ${show(asked)} is not the account "${account}" that the request is made for.`,
            'owner',
        );
    }
    return asked;
}

/** The body as an object. @throws ApiError ValidationFailed if there is none, or none that is an object */
export function requireBody(body: unknown): JsonObject {
    if (!isObject(body)) {
        throw validationFailed(
            'The request needs the image manifest as its body: a JSON object, with content-type application/json.',
            'body',
            'MissingParameter',
        );
    }
    return body;
}

/**
 * The origin to look up; undefined if the manifest names none. An empty one is left to the validator.
 * @throws ApiError ValidationFailed if it is no string
 */
export function readOrigin({ origin }: JsonObject): string | undefined {
    if (!origin) {
        return undefined;
    }
    if (typeof origin !== 'string') {
        throw validationFailed(`The origin ${show(origin)} is not the UUID of an image.`, 'origin');
    }
    return origin;
}

/** The owner as the uuid of an account, which may not exist. @throws ApiError ValidationFailed */
export function requireOwner(owner: unknown): string {
    if (owner === undefined) {
        throw validationFailed(
            'The image has no "owner": give the UUID of the account it is to belong to.',
            'owner',
            'MissingParameter',
        );
    }
    if (!isUuid(owner)) {
        throw validationFailed(`The owner ${show(owner)} is not the UUID of an account.`, 'owner');
    }
    return owner;
}

/**
 * The owner an imported image gets (manifest.md §4), and whether that account's existence is still to be checked.
 * Outside a datacenter there are no accounts and the owner is unset; in one, images without an owner are the admin's.
 *
 * @param manifest upgraded already, so that an old manifest's creator is its owner
 * @throws ApiError ValidationFailed
 */
export function importOwner(
    manifest: JsonObject,
    { mode, adminUuid }: { mode: Mode; adminUuid?: string | undefined },
): { owner: string; mustExist: boolean } {
    if (mode !== 'dc') {
        return { owner: UNSET_OWNER_UUID, mustExist: false };
    }
    const owner = requireOwner(manifest.owner);
    return owner === UNSET_OWNER_UUID
        ? { owner: isUuid(adminUuid) ? adminUuid : owner, mustExist: false }
        : { owner, mustExist: true };
}

/** When a placeholder may be given up: that many days, or parts of them, from `now` (ms), in ISO form. */
export function placeholderExpiry(now: number, lifespanDays: number): string {
    return new Date(now + lifespanDays * DAY).toISOString();
}

/**
 * The raw record of a new, unactivated image, in the key order of manifest.md §3. Its fields have yet to be
 * validated: until then they may be of any type, or missing.
 *
 * @throws ApiError InvalidParameter for fields that this kind of body can't have
 */
export function buildImage(body: JsonObject, options: BuildOptions): RawImage {
    const given = upgradeManifest(body);
    const taken = new Set<string>(DISREGARDED);
    const take = (key: string): unknown => {
        taken.add(key);
        return given[key];
    };
    const isPlaceholder = options.kind === 'placeholder';
    const v = take('v');
    const type = take('type');
    const os = take('os');
    const acl = take('acl');
    const tags = take('tags');
    const entries: [string, unknown][] = [
        ['v', isPlaceholder ? CURRENT_VERSION : v],
        ['owner', take('owner')],
        ['name', take('name')],
        ['version', take('version')],
        ['type', isPlaceholder ? PLACEHOLDER_VALUE : type],
        ['os', isPlaceholder ? PLACEHOLDER_VALUE : os],
        ['public', storedFlag(take('public'), false)],
        ['disabled', storedFlag(take('disabled'), false)],
        ['activated', false],
        ['state', isPlaceholder ? 'creating' : 'unactivated'],
        ['acl', acl === undefined ? [] : acl],
        ['description', dropFalsy(take('description'))],
        ['homepage', dropFalsy(take('homepage'))],
        ['eula', dropFalsy(take('eula'))],
        ['error', take('error')],
        ['requirements', take('requirements')],
        ['users', take('users')],
        ['traits', take('traits')],
        ['tags', tags === undefined ? undefined : searchTags(tags)],
        ['tagsObj', tags],
        ['billing_tags', take('billing_tags')],
        ['generate_passwords', storedFlag(take('generate_passwords'))],
        ['inherited_directories', take('inherited_directories')],
        ['origin', take('origin')],
        ['channels', options.channels],
        ...(type === 'zvol' ? zvolEntries(take, isPlaceholder) : []),
        ...identityEntries(take, options),
    ];
    const unknown = Object.keys(given).filter((key) => !taken.has(key));
    if (options.kind === 'import' && options.onUnknown) {
        options.onUnknown(unknown);
    } else {
        refuseExtra(unknown);
    }
    const known = entries.filter(([, value]) => value !== undefined);
    return normalizeRaw(Object.fromEntries(known) as RawImage);
}

/** The fields of a disk image. A placeholder, whose type is not known yet, has none of them. */
function zvolEntries(take: (key: string) => unknown, isPlaceholder: boolean): [string, unknown][] {
    const entries = ZVOL_FIELDS.map((field): [string, unknown] => {
        const value = take(field);
        return [field, field === 'image_size' ? toNumber(value) : value];
    });
    return isPlaceholder ? [] : entries;
}

function identityEntries(take: (key: string) => unknown, options: BuildOptions): [string, unknown][] {
    switch (options.kind) {
        case 'create':
            return [['uuid', options.uuid]];
        case 'placeholder':
            // The body may name the uuid; the caller has read it there.
            take('uuid');
            return [
                ['expires_at', options.expiresAt],
                ['uuid', options.uuid],
            ];
        case 'import':
            return importedEntries(take('uuid'), take('published_at'), take('urn'));
    }
}

function importedEntries(uuid: unknown, publishedAt: unknown, urn: unknown): [string, unknown][] {
    if (!uuid) {
        throw invalidParameter('The manifest to import has no "uuid".', 'uuid', 'MissingParameter');
    }
    if (publishedAt && typeof publishedAt !== 'string') {
        throw invalidParameter(
            `The published_at ${show(publishedAt)} is not a date such as "2024-01-31T12:00:00Z".`,
            'published_at',
        );
    }
    return [
        ['uuid', uuid],
        ['published_at', dropFalsy(publishedAt)],
        ['urn', dropFalsy(urn)],
    ];
}

function refuseExtra(fields: string[]): void {
    if (fields.length > 0) {
        throw new ApiError(
            'InvalidParameter',
            `The image data has fields that are not taken here: ${fields.map(show).join(', ')}.`,
            { errors: fields.map((field): FieldError => ({ field, code: 'Invalid' })) },
        );
    }
}

/** A boolean as it is to be stored; what is none stays as it is, for the validator to name. */
function storedFlag(value: unknown, fallback?: boolean): unknown {
    return value === undefined ? fallback : (toBoolean(value) ?? value);
}

function dropFalsy(value: unknown): unknown {
    if (!value) {
        return undefined;
    }
    return value;
}
